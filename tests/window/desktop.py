"""What a window asks of a desktop: notifications, whether it is light or dark, and files to send. It begins
light, and without a dialog for files.

Prints `ready`, then a JSON line for each notification: what it says, and its buttons. Orders on the standard
input: `dark`, `accept` (presses that button of the newest notification), `dialog FILE` (there is a dialog, and
the person always chooses this file; without FILE the person closes it)."""

import json
import sys
import threading

from gi.repository import Gio, GLib


class Notifications:
    """The desktop's notification service, as far as an application can see it."""

    INTERFACE = """<node><interface name="org.freedesktop.Notifications">
      <method name="Notify"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
        <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/>
        <arg type="a{sv}" direction="in"/><arg type="i" direction="in"/><arg type="u" direction="out"/></method>
      <method name="CloseNotification"><arg type="u" direction="in"/></method>
      <method name="GetCapabilities"><arg type="as" direction="out"/></method>
      <method name="GetServerInformation"><arg type="s" direction="out"/><arg type="s" direction="out"/>
        <arg type="s" direction="out"/><arg type="s" direction="out"/></method>
      <signal name="ActionInvoked"><arg type="u"/><arg type="s"/></signal>
      <signal name="NotificationClosed"><arg type="u"/><arg type="u"/></signal>
    </interface></node>"""
    PATH = "/org/freedesktop/Notifications"

    def __init__(self, bus):
        self.shown = 0
        self.bus = bus
        interface = Gio.DBusNodeInfo.new_for_xml(self.INTERFACE).interfaces[0]
        self.bus.register_object(self.PATH, interface, self.on_call, None, None)
        Gio.bus_own_name_on_connection(self.bus, interface.name, Gio.BusNameOwnerFlags.NONE, None, None)

    def on_call(self, _bus, _sender, _path, _interface, method, arguments, invocation):
        answers = {
            "GetCapabilities": GLib.Variant("(as)", (["actions", "body"],)),
            "GetServerInformation": GLib.Variant("(ssss)", ("test", "test", "1", "1.2")),
        }
        if method == "Notify":
            _, _, _, summary, _, actions, _, _ = arguments.unpack()
            self.shown += 1
            print(json.dumps([summary, actions]), flush=True)
            answers["Notify"] = GLib.Variant("(u)", (self.shown,))
        invocation.return_value(answers.get(method))

    def answer(self, action):
        """Presses a button of the newest notification."""
        body = GLib.Variant("(us)", (self.shown, action))
        self.bus.emit_signal(None, self.PATH, "org.freedesktop.Notifications", "ActionInvoked", body)


class Portal:
    """The desktop's settings portal, which says whether it is light or dark."""

    INTERFACE = """<node><interface name="org.freedesktop.portal.Settings">
      <method name="Read"><arg type="s" direction="in"/><arg type="s" direction="in"/>
        <arg type="v" direction="out"/></method>
      <signal name="SettingChanged"><arg type="s"/><arg type="s"/><arg type="v"/></signal>
    </interface></node>"""
    DIALOG = """<node><interface name="org.freedesktop.portal.FileChooser">
      <method name="OpenFile"><arg type="s" direction="in"/><arg type="s" direction="in"/>
        <arg type="a{sv}" direction="in"/><arg type="o" direction="out"/></method>
    </interface></node>"""
    PATH = "/org/freedesktop/portal/desktop"
    DARK, LIGHT = 1, 2

    def __init__(self, bus):
        self.bus, self.scheme, self.dialogs, self.file = bus, self.LIGHT, None, None
        interface = Gio.DBusNodeInfo.new_for_xml(self.INTERFACE).interfaces[0]
        bus.register_object(self.PATH, interface, self.on_call, None, None)
        name = "org.freedesktop.portal.Desktop"
        Gio.bus_own_name_on_connection(bus, name, Gio.BusNameOwnerFlags.NONE, None, None)

    def on_call(self, _bus, _sender, _path, _interface, _method, _arguments, invocation):
        value = GLib.Variant("v", GLib.Variant("u", self.scheme))
        invocation.return_value(GLib.Variant("(v)", (value,)))

    def show_dialogs(self, file):
        """From now on there is a dialog for files, in which this one is chosen, or none."""
        self.file = file
        if self.dialogs is None:
            interface = Gio.DBusNodeInfo.new_for_xml(self.DIALOG).interfaces[0]
            self.dialogs = self.bus.register_object(self.PATH, interface, self.on_dialog, None, None)

    def on_dialog(self, _bus, sender, _path, _interface, _method, arguments, invocation):
        token = arguments.unpack()[2]["handle_token"]
        request = f"{self.PATH}/request/{sender[1:].replace('.', '_')}/{token}"
        invocation.return_value(GLib.Variant("(o)", (request,)))
        chosen = {"uris": GLib.Variant("as", ["file://" + self.file])} if self.file else {}
        answer = GLib.Variant("(ua{sv})", (0 if self.file else 1, chosen))
        # Nobody chooses at once, and an answer that comes with that of the call is not waited for.
        GLib.timeout_add(300, lambda: self.bus.emit_signal(
            sender, request, "org.freedesktop.portal.Request", "Response", answer) and False)

    def change(self, scheme):
        self.scheme = scheme
        body = GLib.Variant("(ssv)", ("org.freedesktop.appearance", "color-scheme", GLib.Variant("u", scheme)))
        self.bus.emit_signal(None, self.PATH, "org.freedesktop.portal.Settings", "SettingChanged", body)


def main():
    bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
    notifications, portal = Notifications(bus), Portal(bus)
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "dark":
                portal.change(Portal.DARK)
            case "accept":
                notifications.answer("accept")
            case order if order.startswith("dialog"):
                portal.show_dialogs(order[len("dialog "):])


main()
