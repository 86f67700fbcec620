"""GNOME without a screen or a graphics card, a person at it, and shares of what its portal gives.

The desktop, its portal with its dialog, and PipeWire are the real ones. The person's keys and pointer come
through the desktop's own interface for remote control, and find the dialog's buttons by the names that a
screen reader hears. Runs in a folder and on a bus of its own (tests/wayland/run)."""

import os
import subprocess
import sys
import threading
import time
import traceback

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, Gio, GLib  # noqa: E402

PATIENCE = 15
# Y, U and V of BT.601 in limited range.
RED, LIME, BLUE = (81, 90, 240), (145, 54, 34), (41, 240, 110)
TAB, ENTER, SHIFT = 0xFF09, 0xFF0D, 0xFFE1
LEFT_BUTTON = 0x110
REFUSED = "refused: The desktop's dialog for sharing was closed"

# What the desktop would ask of the computer finds nobody on this bus and is done without.
os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = os.environ["DBUS_SESSION_BUS_ADDRESS"]
os.environ["GSETTINGS_BACKEND"] = "keyfile"
bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
started = []


def call(name, path, interface, method, signature=None, *values):
    values = GLib.Variant(signature, values) if signature else None
    return bus.call_sync(name, path, interface, method, values, None, Gio.DBusCallFlags.NONE, 10_000,
                         None).unpack()


def wait_for(found, patience=PATIENCE):
    """The first true answer of `found`, or None."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if answer := found():
                return answer
        except GLib.Error:
            pass  # nobody there yet, or the tree changed while it was being read
        time.sleep(0.05)
    return None


def start(*command, **more):
    with open(f"log.{os.path.basename(command[0])}", "a", encoding="utf-8") as log:
        started.append(subprocess.Popen(command, stderr=log, **{"stdout": log, **more}))
    return started[-1]


def setting(schema, key, value):
    subprocess.run(["gsettings", "set", schema, key, value], check=True)


def background(colour):
    setting("org.gnome.desktop.background", "primary-color", colour)


class Person:
    """Keys and a pointer."""

    NAME = "org.gnome.Mutter.RemoteDesktop"

    def __init__(self):
        (self.session,) = call(self.NAME, "/org/gnome/Mutter/RemoteDesktop", self.NAME, "CreateSession")
        self.do("Start")
        # The desktop has a keyboard, and windows have its keys, from the first one pressed.
        self.press(SHIFT)
        # And it gives its cursor a shape, which it does not tell a share that was there before.
        self.point_at(100, 600)

    def do(self, method, signature=None, *values):
        call(self.NAME, self.session, f"{self.NAME}.Session", method, signature, *values)
        time.sleep(0.03)

    def press(self, key):
        self.do("NotifyKeyboardKeysym", "(ub)", key, True)
        self.do("NotifyKeyboardKeysym", "(ub)", key, False)

    def point_at(self, x, y):
        self.do("NotifyPointerMotionRelative", "(dd)", -10_000, -10_000)
        self.do("NotifyPointerMotionRelative", "(dd)", x, y)

    def click(self, x, y):
        self.point_at(x, y)
        for down in (True, False):
            self.do("NotifyPointerButton", "(ib)", LEFT_BUTTON, down)

    def choose(self, *names):
        """Answers the portal's dialog: goes to what has each name, one after the other, and presses Enter."""
        for name in names:
            for _ in range(30):
                if not (at := wait_for(focused)):
                    raise LookupError("no dialog waits for keys")
                if at.endswith(name):
                    break
                self.press(TAB)
            else:
                raise LookupError(f"the dialog has no {name}")
            self.press(ENTER)


def dialog():
    """The portal's open dialog."""
    desktop = Atspi.get_desktop(0)
    programs = [desktop.get_child_at_index(index) for index in range(desktop.get_child_count())]
    for program in programs:
        if program and program.get_name() == "xdg-desktop-portal-gnome" and program.get_child_count():
            return program.get_child_at_index(0)
    return None


def portal():
    """The process of the desktop's part of the portal."""
    return call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                "(s)", "org.freedesktop.impl.portal.desktop.gnome")


def focused(within=None):
    """The name of what would get the keys in the dialog."""
    within = within or dialog()
    for index in range(within.get_child_count() if within else 0):
        part = within.get_child_at_index(index)
        if part.get_state_set().contains(Atspi.StateType.FOCUSED):
            return part.get_name()
        if name := focused(part):
            return name
    return None


class Share:
    """What tests/examples/screen.rs says of a share."""

    def __init__(self, *token):
        self.lines = []
        self.process = start("./screen", "portal", *token, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def told(self, beginning):
        return next((line for line in self.lines if line.startswith(beginning)), None)

    def shows(self, size, colour, where="middle"):
        """Whether the last picture has this size and this colour there."""
        pictures = [line.split() for line in self.lines if line.startswith("picture ")]
        if not pictures or pictures[-1][1] != size:
            return False
        at = pictures[-1].index(where) + 1
        return all(abs(int(got) - wanted) <= 3 for got, wanted in zip(pictures[-1][at:at + 3], colour))

    def count(self):
        return sum(line.startswith("picture ") for line in self.lines)

    def quiet(self, seconds):
        count = len(self.lines)
        time.sleep(seconds)
        return len(self.lines) == count

    def stop(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def remembered(self):
        return (self.told("event Remember(") or "").split('"')[1:2]


class Sheet:
    """A window of one colour (sheet.py)."""

    def __init__(self):
        self.process = start(sys.executable, "sheet.py", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()  # it has the keys, which the dialog takes over then

    def do(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()


class Tests:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, sentence, found, share=None):
        if wait_for(found):
            self.passed += 1
            print(f"test {sentence} ... ok", flush=True)
            return
        self.failed += 1
        print(f"test {sentence} ... FAILED", flush=True)
        for line in share.lines[-4:] if share else []:
            print(f"  the share said: {line}")


def desktop():
    """Starts it; None if it does not start here."""
    setting("org.gnome.desktop.interface", "enable-animations", "false")
    setting("org.gnome.desktop.interface", "enable-hot-corners", "false")
    setting("org.gnome.mutter", "center-new-windows", "true")
    setting("org.gnome.desktop.background", "picture-options", "none")
    background("#ff0000")
    start("pipewire")
    wait_for(lambda: os.path.exists("pipewire-0"))
    start("wireplumber")
    shell = start("gnome-shell", "--headless", "--no-x11", "--wayland-display", "wayland-sightline",
                  "--virtual-monitor", "1280x720")
    os.environ["WAYLAND_DISPLAY"] = "wayland-sightline"
    subprocess.run(["dbus-update-activation-environment", "WAYLAND_DISPLAY", "DBUS_SYSTEM_BUS_ADDRESS",
                    "GSETTINGS_BACKEND"], check=True)
    properties, name, path = "org.freedesktop.DBus.Properties", "org.gnome.Shell", "/org/gnome/Shell"

    def overview(*value):
        if value:
            call(name, path, properties, "Set", "(ssv)", name, "OverviewActive", GLib.Variant("b", *value))
        return call(name, path, properties, "Get", "(ss)", name, "OverviewActive")[0]

    # Windows publish their contents only then.
    call("org.a11y.Bus", "/org/a11y/bus", properties, "Set", "(ssv)", "org.a11y.Status", "IsEnabled",
         GLib.Variant("b", True))
    # It starts with its overview, where windows get no keys.
    return shell if wait_for(overview, 30) and wait_for(lambda: not overview(False)) else None


def a_screen(tests, person):
    share = Share()
    person.choose("Cancel")
    tests.check("what_the_person_refuses_is_told_in_words",
                lambda: share.told(REFUSED), share)

    share = Share()
    tests.check("the_desktop_asks", dialog, share)
    before = portal()
    share.stop()
    tests.check("a_share_that_is_stopped_meanwhile_takes_the_dialog_away",
                lambda: share.lines and not dialog(), share)
    tests.check("nobody_hears_of_it", lambda: share.lines == [REFUSED], share)
    tests.check("the_portal_survives_it", lambda: portal() == before, share)

    share = Share()
    person.choose("MetaVendor", "Share")
    tests.check("the_screen_comes_in_its_size", lambda: share.told("picture 1280x720"), share)
    tests.check("its_colours_are_right", lambda: share.shows("1280x720", RED), share)
    background("#0000ff")
    tests.check("a_change_is_seen", lambda: share.shows("1280x720", BLUE), share)
    tests.check("nothing_comes_while_nothing_changes", lambda: share.quiet(3), share)
    # The arrow's tip is left of and above the middle.
    person.point_at(637, 354)
    tests.check("the_cursor_is_in_the_picture", lambda: not share.shows("1280x720", BLUE), share)
    person.point_at(100, 600)
    tests.check("a_cursor_that_moves_on_leaves_nothing", lambda: share.shows("1280x720", BLUE), share)
    tests.check("a_cursor_that_stands_still_brings_no_picture", lambda: share.quiet(2), share)
    count = share.count()
    person.point_at(300, 500)
    tests.check("one_that_only_moves_brings_a_new_picture", lambda: share.count() > count, share)
    tests.check("after_which_there_is_none", lambda: share.quiet(2), share)
    # The desktop says in its bar that the screen is shared; a click there ends it, and our keys and pointer.
    try:
        person.click(1195, 16)
    except GLib.Error:
        pass
    tests.check("the_end_of_a_share_is_told_in_words", lambda: share.told("ended: The share of the screen was closed"), share)
    return share.remembered()


def a_window(tests, person):
    sheet = Sheet()
    share = Share()
    person.choose("Single Window", "A sheet", "Share")
    tests.check("a_window_comes_alone_and_in_its_size",
                lambda: share.shows("400x300", LIME) and share.shows("400x300", LIME, "last"), share)
    sheet.do("colour blue")
    tests.check("a_change_in_a_window_is_seen", lambda: share.shows("400x300", BLUE), share)
    # It is in the middle of what the desktop's bar leaves.
    person.point_at(637, 370)
    tests.check("the_cursor_is_in_the_picture_of_a_window", lambda: not share.shows("400x300", BLUE), share)
    person.point_at(100, 600)
    tests.check("it_is_gone_when_it_is_elsewhere", lambda: share.shows("400x300", BLUE), share)
    sheet.do("size 601 499")
    tests.check("another_size_of_a_window_is_taken_over",
                lambda: share.shows("601x499", BLUE) and share.shows("601x499", BLUE, "last"), share)
    sheet.do("close")
    tests.check("a_closed_window_is_told_in_words", lambda: share.told("ended: The share of the window was closed"), share)


def main():
    tests = Tests()
    shell = desktop()
    if not shell:
        print("wayland, GNOME: skipped 23 tests, gnome-shell does not start here")
        return True
    token = a_screen(tests, Person())
    share = Share(*token)
    tests.check("what_was_remembered_needs_no_dialog",
                lambda: token and share.shows("1280x720", BLUE) and not dialog(), share)
    share.process.kill()
    a_window(tests, Person())
    share = Share(*token)
    wait_for(lambda: share.told("picture"))
    shell.kill()
    tests.check("a_desktop_that_ends_is_told_in_words", lambda: share.told("ended: "), share)
    print(f"wayland, GNOME: {tests.passed} passed, {tests.failed} failed")
    return not tests.failed


well = False
try:
    well = main()
except Exception:
    traceback.print_exc(file=sys.stdout)
for process in started:
    process.kill()
sys.exit(not well)
