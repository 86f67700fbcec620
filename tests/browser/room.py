"""A call between the probe and a page in a browser: everything around it, and what both say.

One small server gives the browser its page, takes its reports, and passes its WebSocket on to the
signaling server, which takes none from other sites' pages: the page is not the site's.
"""

import http.server
import json
import os
import pathlib
import queue
import socket
import socketserver
import subprocess
import tempfile
import threading
import time

from chromium import Browser

HERE = pathlib.Path(__file__).parent
BINARIES = pathlib.Path(os.environ["BINARIES"])
PATIENCE = 60


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def splice(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Site(http.server.BaseHTTPRequestHandler):
    """The page, its reports, and the way to the signaling server."""

    signaling = 0
    reports = queue.Queue()

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.pass_on()
        page = (HERE / "page.html").read_bytes() if self.path == "/" else b""
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reports.put((self.path, json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def pass_on(self):
        with socket.create_connection(("127.0.0.1", self.signaling)) as server:
            lines = [f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self.signaling}\r\n"]
            lines += [f"{k}: {v}\r\n" for k, v in self.headers.items() if k.lower() not in ("host", "origin")]
            server.sendall(("".join(lines) + "\r\n").encode())
            threading.Thread(target=splice, args=(server, self.connection), daemon=True).start()
            splice(self.connection, server)
        self.close_connection = True

    def log_message(self, *_):
        pass


class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


class Room:
    """Server, probe and browser; `with` ends them, and prints what they complained about if it fails."""

    def __init__(self, *flags):
        self.started = []
        self.folder = tempfile.TemporaryDirectory()
        self.work = pathlib.Path(self.folder.name)
        self.flags = flags

    def __enter__(self):
        try:
            self.open()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def open(self):
        signaling, turn = free_port(), free_port(socket.SOCK_DGRAM)
        Site.signaling = signaling
        self.site = Threads(("127.0.0.1", 0), Site)
        threading.Thread(target=self.site.serve_forever, daemon=True).start()
        self.start("sightline-server", "--listen", f"127.0.0.1:{signaling}",
                   "--turn-listen", f"127.0.0.1:{turn}", "--state-dir", self.work / "state")
        time.sleep(1)
        self.probe = self.start("sightline", "probe", "--server", f"ws://127.0.0.1:{signaling}/", "--room",
                                "test-room", "--role", "callee", "--name", "probe", "--out", self.out,
                                *self.flags, stdin=subprocess.PIPE)
        events = self.out / "events.jsonl"
        until = time.monotonic() + PATIENCE
        while not (events.exists() and '"ready"' in events.read_text(encoding="utf-8")):
            assert time.monotonic() < until, "the probe is not ready"
            time.sleep(0.1)
        with open(self.work / "browser.err", "w", encoding="utf-8") as errors:
            self.browser = Browser(self.work, errors, PATIENCE)
        self.started.append(self.browser.process)

    def __exit__(self, kind, error, _):
        if kind in (AssertionError, queue.Empty):
            for log in self.work.glob("*.err"):
                print(f"--- {log.name}\n{log.read_text(encoding='utf-8')[-3000:]}")
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            process.wait(5)
        self.folder.cleanup()

    def start(self, program, *arguments, **options):
        with open(self.work / f"{program}.err", "w", encoding="utf-8") as errors:
            process = subprocess.Popen([BINARIES / program, *map(str, arguments)], stdout=subprocess.DEVNULL,
                                       stderr=errors, **options)
        self.started.append(process)
        return process

    @property
    def out(self):
        """Where the probe writes."""
        return self.work / "probe"

    def say(self, command):
        """Tells the probe something."""
        self.probe.stdin.write(f"{command}\n".encode())
        self.probe.stdin.flush()

    def visit(self, does):
        """Opens the page, and tells it what it is to do there."""
        self.browser.tab(f"http://127.0.0.1:{self.site.server_port}/#{does}")

    def report(self, wanted):
        """The next report of that name."""
        while True:
            path, report = Site.reports.get(timeout=PATIENCE)
            if path == f"/{wanted}":
                return report
            assert path != "/failed", report
