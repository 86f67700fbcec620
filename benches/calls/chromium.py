"""The same call between two Chromium processes, through a page and a signaling of this script's own.

Camera: Chromium's capture of the same Y4M file; microphone: its test tone. A picture's time of capture
is what Chromium says of its own preview, its time of showing the moment of requestVideoFrameCallback,
where the marker is read. A preview of one's own picture, as every call has, is part of the cost.
"""
import json
import queue
import shutil
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = Path(__file__).with_name("chromium.html")


def program():
    """Where Chromium is, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Side:
    """One browser and what its page told."""

    def __init__(self):
        self.orders = queue.Queue()
        self.events = []
        self.logs = {"cap": [], "ren": []}

    def first(self, name, **fields):
        for event in self.events:
            if event["ev"] == name and all(event.get(k) == v for k, v in fields.items()):
                return event["t"]
        return None

    def wait_for(self, name, limit=30, **fields):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self.first("error"):
                raise RuntimeError(self.events)
            at = self.first(name, **fields)
            if at is not None:
                return at
            time.sleep(0.02)
        raise RuntimeError(f"Chromium said no {name} within {limit} s: {self.events}")


class Call:
    """Two browsers that are ready to call each other."""

    def __init__(self, clip, folder):
        self.sides = {"caller": Side(), "callee": Side()}
        call = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def side(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                return query["side"][0]

            def answer(self, body, kind="application/json"):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                try:
                    self.end_headers()
                    self.wfile.write(body)
                except BrokenPipeError:
                    pass  # the browser was closed meanwhile

            def do_GET(self):
                if self.path.startswith("/poll"):
                    try:
                        order = call.sides[self.side()].orders.get(timeout=20)
                    except queue.Empty:
                        order = {}
                    self.answer(json.dumps(order).encode())
                else:
                    self.answer(PAGE.read_bytes(), "text/html")

            def do_POST(self):
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                side = call.sides[self.side()]
                if "to" in told:
                    other = "callee" if self.side() == "caller" else "caller"
                    call.sides[other].orders.put(told)
                elif "log" in told:
                    side.logs[told["log"]] += told["lines"]
                else:
                    side.events.append({"t": time.time() * 1000, **told})
                self.answer(b"{}")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        port = self.server.server_address[1]
        self.processes = {
            name: subprocess.Popen(
                [program(), "--headless=new", "--no-sandbox", f"--user-data-dir={folder}/{name}",
                 "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                 f"--use-file-for-fake-video-capture={clip}", "--autoplay-policy=no-user-gesture-required",
                 "--disable-features=WebRtcHideLocalIpsWithMdns", "--no-first-run", "--window-size=1300,1000",
                 f"http://127.0.0.1:{port}/?side={name}"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for name in self.sides
        }

    def start(self):
        for side in self.sides.values():
            side.wait_for("ready")
        time.sleep(2)
        self.sides["caller"].orders.put({"call": True})

    def close(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(20)
        self.server.shutdown()
