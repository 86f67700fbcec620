"""Servers and probes inside a lab, and what their logs say (docs/probe.md)."""
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from lab import COTURN, SERVER, SERVER6, STUN, inside, run

PATIENCE = 40


class Failed(Exception):
    """A call did not do what was expected of it."""


def wait_for(what, found, limit=PATIENCE):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.02)
    raise Failed(f"no {what} within {limit:g} s")


def repetitions(words, otherwise):
    """How often: the number in a word like `x5`."""
    return next((int(word[1:]) for word in words if word[:1] == "x" and word[1:].isdigit()), otherwise)


def certificate(folder):
    """A certificate for the addresses of the server; its own authority."""
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "2", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=netlab",
        "-addext", f"subjectAltName=IP:{SERVER},IP:{COTURN},IP:{SERVER6}",
        "-addext", "basicConstraints=critical,CA:FALSE")


SECRET = "a secret of the lab"


class Server:
    """`sightline-server` in the lab. Over TLS on 443, or in the clear on port 80, to be listened to; with
    the relay of its own, or with coturn on the second address."""

    def __init__(self, lab, folder, tls=True, more=(), coturn=False):
        self.lab, self.folder, self.tls = lab, Path(folder), tls
        self.folder.mkdir(parents=True, exist_ok=True)
        host = SERVER if 4 in lab.families else f"[{SERVER6}]"
        self.url = f"wss://{host}/" if tls else f"ws://{host}:80/"
        self.listen = f"{host}:{443 if tls else 80}"
        self.command = [lab.programs / "sightline-server", "--listen", self.listen,
                        "--state-dir", self.folder / "state", *more]
        if tls:
            certificate(self.folder)
            self.command += ["--tls-cert", self.folder / "cert.pem", "--tls-key", self.folder / "key.pem"]
        self.log = open(self.folder / "server.log", "a", encoding="utf-8")
        self.beside = []
        if 4 in lab.families:
            self.beside.append(self.start("the STUN server", [
                lab.programs / "sightline-server", "--listen", f"{STUN}:80", "--state-dir", self.folder / "stun"], f"{STUN}:80"))
        if coturn:
            self.command += ["--turn-secret", SECRET]
            for url in (f"turn:{COTURN}:3478?transport=udp", f"turn:{COTURN}:3478?transport=tcp",
                        f"turns:{COTURN}:443?transport=tcp"):
                self.command += ["--external-turn", url]
            self.beside.append(self.start("coturn", self.coturn(), f"{COTURN}:3478"))
        else:
            self.command += ["--turn-listen", f"{host}:3478", *(["--turn-listen", f"{host}:80"] if tls else [])]
        self.restart()

    def coturn(self):
        return ["turnserver", "-n", "--listening-ip", COTURN, "--relay-ip", COTURN, "--listening-port", 3478,
                "--tls-listening-port", 443, "--cert", self.folder / "cert.pem", "--pkey", self.folder / "key.pem",
                "--use-auth-secret", "--static-auth-secret", SECRET, "--realm", "netlab", "--no-cli", "--no-dtls",
                "--simple-log", "--log-file", "stdout", "--pidfile", self.folder / "coturn.pid",
                "--userdb", self.folder / "coturn.db"]

    def start(self, what, command, address):
        process = subprocess.Popen(inside("server", *command), stdout=self.log, stderr=self.log)

        def listens():
            if process.poll() is not None:
                raise Failed(f"{what} did not start: {(self.folder / 'server.log').read_text()[-300:]}")
            return f" {address} " in run(*inside("server", "ss", "-Hltn"))
        wait_for(what, listens, 20)
        return process

    def restart(self):
        self.process = self.start("the server", self.command, self.listen)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def probe_flags(self):
        stun = ["--stun", f"stun:{STUN}:3478"] if 4 in self.lab.families else []
        return ["--server", self.url, *stun, *(["--tls-ca", self.folder / "cert.pem"] if self.tls else [])]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.process, *self.beside):
            process.kill()
            process.wait()
        self.log.close()


class Probe:
    """A `sightline probe` at one of the peers."""

    def __init__(self, server, peer, role, folder, more):
        self.peer, self.role, self.out = peer, role, Path(folder) / role
        self.out.mkdir(parents=True, exist_ok=True)
        command = inside(peer, server.lab.programs / "sightline", "probe", *server.probe_flags(), "--room", "netlab-room",
                         "--name", role, "--role", role, "--out", self.out, "--dump-ms", 0, *more)
        environment = {**os.environ, "RUST_LOG": os.environ.get("NETLAB_LOG", "warn")}
        proxy = server.lab.proxy(peer)
        if proxy and role == "caller":
            environment["https_proxy"] = proxy
        elif proxy:
            command += ["--proxy", proxy]
        with open(self.out / "stderr.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log,
                                            text=True, env=environment)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def events(self):
        return jsonl(self.out / "events.jsonl")

    def stats(self):
        return jsonl(self.out / "stats.jsonl")

    def time(self, name, **fields):
        """When the first event of that name came, in unix ms; None if it did not."""
        for event in self.events():
            if event["ev"] == name and all(event.get(key) == value for key, value in fields.items()):
                return event["t"]
        return None

    def pair(self):
        """The newest selected pair."""
        return next((e for e in reversed(self.events()) if e["ev"] == "selected_pair"), None)

    def frames(self, name):
        """Lines of ren.log or cap.log: (unix ms, marker)."""
        path, frames = self.out / name, []
        for line in path.read_text().splitlines() if path.exists() else []:
            fields = line.split()
            if len(fields) == 3:
                frames.append((float(fields[0]), int(fields[1])))
        return frames

    def wait_for(self, name, limit=PATIENCE, **fields):
        def found():
            if self.process.poll() is not None:
                raise Failed(f"the {self.role} ended with {self.process.returncode}: {self.complaint()}")
            return self.time(name, **fields)
        try:
            return wait_for(f"{name} at the {self.role}", found, limit)
        except Failed as failed:
            raise Failed(f"{failed}: {self.complaint()}" if self.complaint() else str(failed)) from None

    def complaint(self):
        text = (self.out / "stderr.log").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else ""

    def state(self):
        code = self.process.poll()
        last = next((f"after {event['ev']}" for event in reversed(self.events())), "before any event")
        return f"{self.role} {'runs' if code is None else f'ended with {code}'} {last} {self.complaint()}".rstrip()

    def signal(self, number):
        self.process.send_signal(number)

    def hang_up(self):
        try:
            self.say("hangup")
            return self.process.wait(10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            return self.process.poll()

    def kill(self):
        self.process.kill()
        self.process.wait()


def jsonl(path):
    """The whole lines of a log that is still being written."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines if line]


class Call:
    """Two probes that are ready for each other."""

    def __init__(self, server, caller="a", callee="b", more=("--size", "640x360"), folder=None):
        keep = os.environ.get("NETLAB_KEEP")
        self.temporary = None if folder or keep else tempfile.TemporaryDirectory()
        self.folder = Path(folder or (tempfile.mkdtemp(dir=keep) if keep else self.temporary.name))
        self.callee = self.caller = None
        try:
            self.callee = Probe(server, callee, "callee", self.folder, more)
            self.callee.wait_for("ready")
            self.caller = Probe(server, caller, "caller", self.folder, more)
            self.caller.wait_for("ready")
            time.sleep(0.7)
        except BaseException:
            self.__exit__()
            raise

    @property
    def sides(self):
        return (self.caller, self.callee)

    def call(self, limit=PATIENCE):
        """Calls, and waits until both see each other; gives the caller's set-up time in ms."""
        self.caller.say("call")
        try:
            first = self.caller.wait_for("first_frame", limit)
            self.callee.wait_for("first_frame", limit)
        except Failed as failed:
            raise Failed(f"{failed} ({'; '.join(side.state() for side in self.sides)})") from None
        return first - self.caller.time("call")

    def path(self):
        """How each side is reached, caller first: "host–srflx", "relay/udp–prflx"."""
        pairs = [wait_for("selected pair", side.pair) for side in self.sides]
        ends = []
        for own, other in (pairs, pairs[::-1]):
            relay = own["local"]["type"] == "relay"
            ends.append(f"relay/{own['local'].get('relayProtocol')}" if relay else other["remote"]["type"])
        return "–".join(ends)

    def is_relayed(self):
        return any(side.pair()[end]["type"] == "relay" for side in self.sides for end in ("local", "remote"))

    def gap(self, since, until=None):
        """The longest time without a new picture at either side that overlaps `since` (unix ms)."""
        return max(longest_gap([t for t, _ in side.frames("ren.log")], since, until) for side in self.sides)

    def missing(self, since):
        """Pictures captured after `since` (unix ms), and up to half a second ago, that never were shown."""
        lost = 0
        for source, sink in (self.sides, self.sides[::-1]):
            shown = {number for _, number in sink.frames("ren.log")}
            newest = max(t for t, _ in source.frames("cap.log")) - 500
            lost += sum(since < t < newest and number not in shown for t, number in source.frames("cap.log"))
        return lost

    def hang_up(self):
        codes = [side.hang_up() for side in self.sides]
        if any(codes):
            raise Failed(f"a probe failed: exit codes {codes}: {[side.complaint() for side in self.sides]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for side in (self.caller, self.callee):
            if side:
                side.process.send_signal(signal.SIGCONT)
                side.kill()
        if self.temporary:
            self.temporary.cleanup()


def longest_gap(times, since, until=None):
    """The longest stretch without a picture that ends after `since`; up to now if none came any more."""
    times = sorted(t for t in times if until is None or t < until)
    end = until or time.time() * 1e3 - 300
    gaps = [b - a for a, b in zip(times, [*times[1:], max(end, times[-1])]) if b > since]
    return max(gaps, default=0.0)
