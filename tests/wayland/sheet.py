"""A window of one colour. It does what it reads: "colour NAME", "size WIDTH HEIGHT", "close", and says
when it is the active window."""

import sys

import gi

gi.require_version("Gdk", "4.0")
gi.require_version("Gtk", "4.0")
from gi.repository import Gdk, GLib, Gtk  # noqa: E402

style = Gtk.CssProvider()
Gtk.StyleContext.add_provider_for_display(Gdk.Display.get_default(), style,
                                          Gtk.STYLE_PROVIDER_PRIORITY_USER)
window = Gtk.Window(title="A sheet", default_width=400, default_height=300, decorated=False)
loop = GLib.MainLoop()


def colour(name):
    style.load_from_data(f"window {{ background: {name}; border-radius: 0; box-shadow: none; }}".encode())


def obey(_source, _condition):
    match sys.stdin.readline().split():
        case ["colour", name]:
            colour(name)
        case ["size", width, height]:
            window.set_default_size(int(width), int(height))
        case _:
            window.destroy()
            loop.quit()
    return True


colour("lime")
window.connect("notify::is-active", lambda *_: print("active", flush=True))
window.present()
GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, obey)
loop.run()
