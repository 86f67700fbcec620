"""Calls the probe from a page in a browser, and compares the statistics of both sides.

One small server gives the browser its page, takes its report, and passes its WebSocket on to the
signaling server, which takes none from other sites' pages: the page is not the site's.
"""

import fcntl
import http.server
import json
import os
import pathlib
import queue
import select
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

import dump

HERE = pathlib.Path(__file__).parent
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
    """The page, its report, and the way to the signaling server."""

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


def of(objects, kind, media=None):
    found = [entry for entry in objects if entry["type"] == kind and media in (None, entry.get("kind"))]
    assert found, f"no {kind} {media or ''} among {sorted({entry['type'] for entry in objects})}"
    return max(found, key=lambda entry: entry.get("packetsSent", 0) + entry.get("packetsReceived", 0))


def our_reports(folder):
    with open(folder / "stats.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Browser:
    """Chromium without a window, told what to do through its debugging pipe (JSON that ends with a zero)."""

    def __init__(self, work, errors):
        self.work, self.rest, self.number = work, b"", 0
        theirs_in, self.into = os.pipe()
        self.out, theirs_out = os.pipe()

        def ends():
            # The pipe is 3 and 4; above them first, since they may be one another's.
            high = [fcntl.fcntl(end, fcntl.F_DUPFD, 64) for end in (theirs_in, theirs_out)]
            for end, number in zip(high, (3, 4)):
                os.dup2(end, number)

        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                     "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                     "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe",
                     f"--user-data-dir={work / 'profile'}", "about:blank"]
        self.process = subprocess.Popen([os.environ["BROWSER"], *arguments], preexec_fn=ends, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=errors,
                                        env=dict(os.environ, HOME=str(work)))
        os.close(theirs_in)
        os.close(theirs_out)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.into, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def message(self):
        until = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.out], [], [], max(0, until - time.monotonic()))
            more = os.read(self.out, 1 << 16) if ready else b""
            assert more, "the browser does not answer"
            self.rest += more
        line, self.rest = self.rest.split(b"\0", 1)
        return json.loads(line)

    def tab(self, url):
        target = self.call("Target.createTarget", url=url)["targetId"]
        return self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def dump(self, internals):
        """What `chrome://webrtc-internals` in that tab writes when asked."""
        folder = self.work / "dump"
        folder.mkdir()
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        click = "document.getElementById('dump-click-target').click()"
        self.call("Runtime.evaluate", internals, expression=click, userGesture=True)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for path in folder.iterdir():
                if path.suffix != ".crdownload":
                    return dump.read(path)
            time.sleep(0.1)
        raise AssertionError("no dump from chrome://webrtc-internals")


class Table:
    """What one side says beside what the other says."""

    def __init__(self):
        self.wrong = 0

    def row(self, what, browser, ours, most):
        fits = browser is not None and ours is not None and abs(browser - ours) <= most
        self.wrong += not fits
        show = lambda value: "-" if value is None else f"{value:.6g}"
        print(f"{'ok   ' if fits else 'WRONG'} {what:<58} {show(browser):>12} {show(ours):>12}")


def between(reports, at, kind, media, member):
    """Our value at a moment of the browser's, between the two reports around it."""
    before = [r for r in reports if r["t"] <= at][-1]
    after = [r for r in reports if r["t"] > at][0]
    low, high = (of(r["stats"], kind, media)[member] for r in (before, after))
    return low + (high - low) * (at - before["t"]) / (after["t"] - before["t"]), high - low


def compare(browser, ours):
    table = Table()
    print(f"{'':5} {'':58} {'browser':>12} {'ours':>12}")
    last = ours[-1]["stats"]
    after, during = browser["after"], browser["during"]
    # The browser has stopped sending: both sides have counted the same packets, to the last one.
    for media in ("audio", "video"):
        sent, received = of(after, "outbound-rtp", media), of(last, "inbound-rtp", media)
        # Not headerBytesSent, which holds padding: the engine takes it off before we can count it.
        for theirs, member in (("packetsSent", "packetsReceived"), ("bytesSent", "bytesReceived")):
            table.row(f"browser {theirs}, our {member} ({media})", sent[theirs], received[member], 0)
        table.row(f"browser nackCount received, ours sent ({media})", sent["nackCount"], received["nackCount"], 0)
        reported = of(last, "remote-outbound-rtp", media)
        share = sent["packetsSent"] * 0.25 + 60
        table.row(f"browser packetsSent, our remote-outbound-rtp ({media})",
                  sent["packetsSent"], reported["packetsSent"], share)
        seen = of(after, "remote-inbound-rtp", media)
        table.row(f"browser remote packetsLost, our packetsLost ({media})",
                  seen["packetsLost"], received["packetsLost"], 0)
        table.row(f"browser remote jitter, our jitter in s ({media})", seen["jitter"], received["jitter"], 0.03)
        if "roundTripTime" in seen:
            table.row(f"round trip of a loopback in s ({media})", seen["roundTripTime"], 0.0, 0.1)
    sent, received = of(after, "outbound-rtp", "video"), of(last, "inbound-rtp", "video")
    table.row("browser framesSent, our framesReceived", sent["framesSent"], received["framesReceived"], 1)
    table.row("browser framesEncoded, our framesDecoded", sent["framesEncoded"], received["framesDecoded"], 3)
    table.row("browser keyFramesEncoded, our keyFramesDecoded", sent["keyFramesEncoded"],
              received["keyFramesDecoded"], 1)
    table.row("browser pliCount received, ours sent", sent["pliCount"], received["pliCount"], 0)
    for member in ("frameWidth", "frameHeight"):
        table.row(f"browser {member} sent, ours received", of(during, "outbound-rtp", "video")[member],
                  received[member], 0)
    table.row("browser qpSum per frame, ours", sent["qpSum"] / sent["framesEncoded"],
              received["qpSum"] / max(received["framesDecoded"], 1), 1.0)
    # The other way round we go on sending: ours is read between two reports.
    for media in ("audio", "video"):
        received = of(after, "inbound-rtp", media)
        for theirs, member in (("packetsReceived", "packetsSent"), ("bytesReceived", "bytesSent"),
                               ("headerBytesReceived", "headerBytesSent")):
            value, second = between(ours, received["timestamp"], "outbound-rtp", media, member)
            table.row(f"browser {theirs}, our {member} ({media})", received[theirs], value, second * 0.4 + 2)
        seen = of(last, "remote-inbound-rtp", media)
        table.row(f"browser packetsLost, our remote packetsLost ({media})",
                  received["packetsLost"], seen["packetsLost"], 0)
        table.row(f"browser jitter, our remote jitter in s ({media})", received["jitter"], seen["jitter"], 0.03)
        table.row(f"round trip of a loopback in s, ours ({media})", 0.0, seen["roundTripTime"], 0.1)
    received = of(after, "inbound-rtp", "video")
    for theirs, member in (("framesReceived", "framesSent"), ("keyFramesDecoded", "keyFramesEncoded")):
        value, second = between(ours, received["timestamp"], "outbound-rtp", "video", member)
        table.row(f"browser {theirs}, our {member}", received[theirs], value, second * 0.4 + 3)
    # All pairs together: the browser uses several at once. It counts its consent requests twice, once
    # among all requests; both sides go on checking until the last report.
    total = lambda objects, *members: sum(
        entry.get(member, 0) for entry in objects if entry["type"] == "candidate-pair" for member in members)
    asked = ("requestsSent", "consentRequestsSent")
    # Ours until the same moment, without pairs on which nothing can arrive.
    then = next(r["stats"] for r in ours if r["t"] > of(after, "transport")["timestamp"])
    then = [e for e in then if e["type"] != "candidate-pair" or e["responsesReceived"] + e["requestsReceived"]]
    for what, theirs, mine in (
        ("checks: browser received, ours sent", total(after, "requestsReceived"), total(then, *asked)),
        ("checks: browser sent, ours received", total(after, "requestsSent"), total(then, "requestsReceived")),
        ("answers: browser sent, ours received", total(after, "responsesSent"), total(then, "responsesReceived")),
        ("answers: browser received, ours sent", total(after, "responsesReceived"), total(then, "responsesSent")),
    ):
        table.row(what, theirs, mine, 12)
    transport, ids = of(after, "transport"), of(last, "transport")
    for theirs, member in (("packetsSent", "packetsReceived"), ("bytesSent", "bytesReceived")):
        value, second = between(ours, transport["timestamp"], "transport", None, member)
        table.row(f"transport: browser {theirs}, our {member}", transport[theirs], value,
                  second * 0.5 + transport[theirs] * 0.01)
    fingerprint = lambda objects, id: next(e["fingerprint"] for e in objects if e["id"] == id)
    same = (fingerprint(after, transport["remoteCertificateId"]).lower()
            == fingerprint(last, ids["localCertificateId"]).lower())
    table.row("the browser's certificate of us is ours", 1, int(same), 0)
    return table.wrong


def main():
    binaries = pathlib.Path(os.environ["BINARIES"])
    signaling, turn = free_port(), free_port(socket.SOCK_DGRAM)
    Site.signaling = signaling
    site = Threads(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    started = []
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)

        def start(program, *arguments, **options):
            with open(work / f"{pathlib.Path(program).name}.err", "w", encoding="utf-8") as errors:
                process = subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.DEVNULL,
                                           stderr=errors, **options)
            started.append(process)
            return process

        try:
            start(binaries / "sightline-server", "--listen", f"127.0.0.1:{signaling}",
                  "--turn-listen", f"127.0.0.1:{turn}", "--state-dir", work / "state")
            time.sleep(1)
            probe = start(binaries / "sightline", "probe", "--server", f"ws://127.0.0.1:{signaling}/", "--room",
                          "test-room", "--role", "callee", "--name", "probe", "--out", work / "probe",
                          "--size", "640x360", stdin=subprocess.PIPE)
            events = work / "probe" / "events.jsonl"
            until = time.monotonic() + PATIENCE
            while not (events.exists() and '"ready"' in events.read_text(encoding="utf-8")):
                assert time.monotonic() < until, "the probe is not ready"
                time.sleep(0.1)
            with open(work / "browser.err", "w", encoding="utf-8") as errors:
                browser = Browser(work, errors)
            started.append(browser.process)
            # It counts only what happens after it was opened.
            internals = browser.tab("chrome://webrtc-internals")
            browser.tab(f"http://127.0.0.1:{site.server_port}/")
            while True:
                path, report = Site.reports.get(timeout=PATIENCE)
                if path == "/done":
                    break
                print(path, report)
                assert path != "/failed", report
            time.sleep(2.5)
            probe.stdin.write(b"hangup\n")
            probe.stdin.flush()
            # The last reports before the browser went are those that count.
            ours = [r for r in our_reports(work / "probe") if any(e["type"] == "inbound-rtp" for e in r["stats"])]
            wrong = compare(report, ours)
            probe.wait(PATIENCE)
            theirs = browser.dump(internals)
            subprocess.run([binaries / "sightline", "export", work / "probe" / "session.jsonl",
                            work / "export.json"], check=True, stdout=subprocess.DEVNULL)
            wrong += dump.compare(theirs, dump.read(work / "export.json"))
            if keep := os.environ.get("KEEP"):
                pathlib.Path(keep).write_text(json.dumps({"browser": report, "ours": ours[-1]}), encoding="utf-8")
        except (AssertionError, queue.Empty) as error:
            for log in work.glob("*.err"):
                print(f"--- {log.name}\n{log.read_text(encoding='utf-8')[-3000:]}")
            sys.exit(f"browser: {error or 'the page said nothing'}")
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait(5)
    sys.exit(f"{wrong} values differ" if wrong else 0)


main()
