"""Relay only means relay only: what leaves the computers is listened to."""
import re
import subprocess
import time

from call import Call, Failed, Server
from lab import Lab, inside, run

# In a message to the other side, or in a description inside one.
TELLTALE = re.compile(rb"typ (?:host|srflx|prflx)|raddr [0-9a-f.:]+")


class Capture:
    """Every packet of one interface, as tcpdump writes it."""

    def __init__(self, namespace, interface, file):
        self.file = file
        self.process = subprocess.Popen(inside(namespace, "tcpdump", "-i", interface, "-w", file, "-U", "--immediate-mode"),
                                        stderr=subprocess.PIPE, text=True)
        # It says so when it listens.
        while "listening on" not in self.process.stderr.readline():
            if self.process.poll() is not None:
                raise RuntimeError("tcpdump did not start")

    def end(self):
        """The bytes of all packets."""
        self.process.terminate()
        self.process.wait()
        return self.file.read_bytes()

    def count(self, words):
        """How many packets fit a filter of tcpdump."""
        return len(run("tcpdump", "-nr", self.file, *words.split()).splitlines())


def listen(programs, folder, policy):
    """A call with a policy; gives (packets to or from the other's addresses, telltale signaling, pictures)."""
    with Lab(programs, {"a": ["none"], "b": ["restricted"]}, 20) as lab, Server(lab, folder / "server", tls=False) as server:
        # In the clear: what the server sends to each side is not masked and can be read on the wire.
        captures = {peer: Capture(peer, "wlan0", folder / f"{peer}.pcap") for peer in "ab"}
        with Call(server, more=("--size", "320x180", "--ice-policy", policy)) as call:
            call.call()
            time.sleep(2)
            call.hang_up()
        bytes_seen = b"".join(capture.end() for capture in captures.values())
        if b'"sdp"' not in bytes_seen:
            raise Failed("no signaling was heard: the capture is worth nothing")
        packets = 0
        for peer, other in (("a", "b"), ("b", "a")):
            there = lab.uplinks[other][0]
            packets += captures[peer].count(f"host {there.address} or host {there.wan}")
        return packets, sorted(set(TELLTALE.findall(bytes_seen)))


def relay_only(programs, folder):
    """relay only: no packet to the other side's address, no other candidate in any message"""
    packets, words = listen(programs, folder, "relay")
    if packets or words:
        raise Failed(f"{packets} packets between the peers, and signaling said {words}")


def listening_works(programs, folder):
    """without it both are heard, so that the test above can fail"""
    packets, words = listen(programs, folder, "all")
    if not packets or not words:
        raise Failed(f"heard {packets} packets between the peers and {words} in signaling")


def policy(tests, programs, folder, _words=()):
    """Both, as one line each."""
    print("\nthe policy, heard on the wire")
    for number, test in enumerate((relay_only, listening_works)):
        place = folder / f"policy{number}"
        place.mkdir()
        before = len(tests.failures)
        tests.try_out(test.__doc__, lambda: test(programs, place))
        print(f"{'FAILED' if len(tests.failures) > before else 'ok':8}{test.__doc__}", flush=True)
