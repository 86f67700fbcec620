"""Windows call each other: New call, a knock, Accept, mute, a file, leave, by accessible names only; a second
knock is answered from the desktop's notification, and light and dark follow the desktop."""

import json
import os
import subprocess
import sys
import threading
import time

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, Gio, GLib  # noqa: E402

PATIENCE = 30
WORK = os.environ["WORK"]


def enable_accessibility():
    """What a screen reader does first: windows publish their contents only then."""
    bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
    value = GLib.Variant("(ssv)", ("org.a11y.Status", "IsEnabled", GLib.Variant("b", True)))
    bus.call_sync("org.a11y.Bus", "/org/a11y/bus", "org.freedesktop.DBus.Properties", "Set", value, None,
                  Gio.DBusCallFlags.NONE, 10_000, None)


def wait_for(what, found):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            value = found()
        except GLib.Error:
            value = None  # the tree changed while it was being read
        if value:
            return value
        time.sleep(0.1)
    raise SystemExit(f"window: no {what} within {PATIENCE} s")


class Desktop:
    """The services of a desktop, in a process of their own (desktop.py)."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), "desktop.py")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.shown = []
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("window: the desktop's services do not start")
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.shown.append(json.loads(line))

    def tell(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()


def brightness():
    """Of the first window's background, 0 to 255."""
    shot = subprocess.run(["import", "-window", "root", "-crop", "1x1+300+70", "-depth", "8", "gray:-"],
                          capture_output=True, check=True)
    return shot.stdout[0]


class Window:
    def __init__(self, name, *arguments):
        self.name = name
        command = [os.environ["SIGHTLINE"], *arguments, "--separate", "--name", name]
        command += ["--video", "pattern", "--audio", "tone", "--sink", "none"]
        log = open(f"{WORK}/{name}.log", "w", encoding="utf-8")
        # Without other programs: one of them might show a dialog for files where the desktop has none.
        environment = {**os.environ, "PATH": WORK, "HOME": f"{WORK}/{name}"}
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def move_to(self, x):
        """A window that is covered is not drawn, and then tells nothing new."""
        def ours():
            found = subprocess.run(["xdotool", "search", "--onlyvisible", "--pid", str(self.process.pid)],
                                   capture_output=True, text=True, check=False)
            return found.stdout.split()
        window = wait_for(f"window of {self.name}", ours)[-1]
        subprocess.run(["xdotool", "windowmove", "--sync", window, str(x), "0"], check=True)

    def root(self):
        desktop = Atspi.get_desktop(0)
        for number in range(desktop.get_child_count()):
            child = desktop.get_child_at_index(number)
            if child and child.get_process_id() == self.process.pid:
                return child
        return None

    def nodes(self):
        waiting = [self.root()]
        while waiting:
            node = waiting.pop()
            if node is None:
                continue
            yield node
            waiting += [node.get_child_at_index(i) for i in range(node.get_child_count())]

    def find(self, matches):
        return wait_for(f"{matches.__doc__} in the window of {self.name}",
                        lambda: next((node for node in self.nodes() if matches(node.get_name() or "")), None))

    def see(self, text):
        def matches(name):
            return text in name
        matches.__doc__ = f"\"{text}\""
        return self.find(matches)

    def press(self, name):
        def matches(found):
            return found == name
        matches.__doc__ = f"button \"{name}\""
        button = self.find(matches)
        if not Atspi.Action.do_action(button, 0):
            raise SystemExit(f"window: \"{name}\" cannot be pressed")

    def close(self):
        self.process.terminate()
        self.process.wait(10)


def screenshot(name):
    folder = os.environ.get("SIGHTLINE_SCREENSHOTS")
    if folder:
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["import", "-window", "root", f"{folder}/{name}.png"], check=True)


def send_a_file(desktop, sender, receiver):
    """By the button: on a desktop without a dialog, with one that is closed, with one where a file is chosen."""
    for window in (sender, receiver):
        window.press("Chat")
    sender.press("Send a file")
    sender.see("This desktop has no dialog to choose files with")
    screenshot("no-dialog")
    desktop.tell("dialog")
    sender.press("Send a file")
    time.sleep(1)
    with open(f"{WORK}/notes.txt", "w", encoding="utf-8") as notes:
        notes.write("something to read\n")
    desktop.tell(f"dialog {WORK}/notes.txt")
    sender.press("Send a file")
    receiver.press("Save")
    sender.see("Grace has it")
    with open(f"{WORK}/Grace/notes.txt", encoding="utf-8") as notes:
        if notes.read() != "something to read\n":
            raise SystemExit("window: another file arrived")
    screenshot("sent")
    for window in (sender, receiver):
        window.press("Close the chat")


def main():
    enable_accessibility()
    desktop = Desktop()
    windows = []
    try:
        ada = Window("Ada")
        windows.append(ada)
        ada.see("New call")
        wait_for("light window", lambda: brightness() > 200)
        screenshot("light")
        desktop.tell("dark")
        wait_for("dark window", lambda: brightness() < 60)
        ada.press("New call")
        ada.see("Waiting for someone to join")
        link = ada.see("/r/").get_name()
        screenshot("waiting")

        grace = Window("Grace", link)
        windows.append(grace)
        grace.move_to(1130)
        ada.see("Grace would like to join")
        screenshot("knock")
        ada.press("Accept")
        for window in windows:
            window.see("Direct, encrypted")
        time.sleep(2)
        screenshot("call")

        grace.press("Mute microphone")
        grace.see("Unmute microphone")
        ada.see("Grace, muted")
        grace.press("Turn camera off")
        grace.see("Turn camera on")
        screenshot("muted")

        send_a_file(desktop, ada, grace)

        ada.press("Leave call")
        grace.see("Call ended")
        ada.see("Call ended")
        screenshot("ended")
        for window in windows:
            window.press("Back to start")
            window.see("New call")

        # The other way round, answered from the desktop.
        desktop.shown.clear()
        grace.press("New call")
        link = grace.see("/r/").get_name()
        lin = Window("Lin", link)
        windows.append(lin)
        asked, buttons = wait_for("notification", lambda: desktop.shown[-1:])[0]
        if "Lin" not in asked or buttons[::2] != ["accept", "decline"]:
            raise SystemExit(f"window: the notification says {asked!r} with {buttons}")
        desktop.tell("accept")
        grace.see("Direct, encrypted")
    except SystemExit:
        screenshot("failed")
        for window in windows:
            print(f"window: {window.name} shows {sorted({node.get_name() for node in window.nodes()})}")
        raise
    finally:
        desktop.close()
        for window in windows:
            window.close()
        for window in windows:
            with open(f"{WORK}/{window.name}.log", encoding="utf-8") as log:
                panics = [line for line in log if "panicked" in line]
            if panics:
                sys.exit(f"window: {window.name}: {panics}")
    print("window: 1 passed, 0 failed")


main()
