"""From `call` to the first picture, step by step, at three distances and over every kind of path.

The bar is 6 round trips + 60 ms: what the WebRTC engine needs between the offer and the first media
packet (docs/webrtc-crate.md), and a little for everything else.
"""
import statistics
import time

from call import Call, Failed, Server, repetitions
from lab import Lab
from matrix import RELAYS

ROUND_TRIPS = (20, 100, 300)
RUNS = 5

# No packet between the two networks: only a relay is left.
APART = ("ip saddr 198.51.100.0/24 ip daddr 192.0.2.0/24 drop; "
         "ip saddr 192.0.2.0/24 ip daddr 198.51.100.0/24 drop")
# The NAT of both sides, and what the internet between them lets through.
PATHS = {
    "host": ("none", ""),
    "srflx": ("restricted", ""),
    "relay/udp": ("restricted", APART),
    "relay/tcp": ("restricted", f"{APART}; {RELAYS['tcp']}"),
    "relay/tls": ("restricted", f"{APART}; {RELAYS['tls']}"),
}

# Each step ends with an event at the caller; what an earlier version does not say is left out.
STEPS = (
    ("offer sent", {"ev": "offer_sent"}),
    ("ICE", {"ev": "ice", "state": "connected"}),
    ("DTLS", {"ev": "dtls", "state": "connected"}),
    ("picture", {"ev": "first_frame"}),
)


def one_call(server, path):
    """The times of the steps in ms after `call`, at the caller."""
    with Call(server, more=("--size", "640x360")) as call:
        call.call()
        time.sleep(0.2)
        used = call.path()
        call.hang_up()
        if path not in used:
            raise Failed(f"the path was {used} instead of {path}")
        began = call.caller.time("call")
        return [call.caller.time(step["ev"], **{k: v for k, v in step.items() if k != "ev"}) - began for _, step in STEPS]


def measure(programs, folder, path, round_trip, runs=RUNS):
    """The median of each step's end."""
    nat, rules = PATHS[path]
    with Lab(programs, {"a": [nat], "b": [nat]}, round_trip) as lab:
        with Server(lab, folder / "server") as server:
            lab.block(rules)
            return [statistics.median(ends) for ends in zip(*(one_call(server, path) for _ in range(runs)))]


def speed(tests, programs, folder, words=()):
    """The table. Words choose paths, round trips (ms) and the number of runs (`x3`)."""
    paths = [path for path in PATHS if path in words] or PATHS
    round_trips = [ms for ms in ROUND_TRIPS if str(ms) in words] or ROUND_TRIPS
    runs = repetitions(words, RUNS)
    print(f"\nfrom call to the first picture at the caller, ms, medians of {runs}; each step also in round trips")
    print(f"{'path':10}{'round trip':>11}" + "".join(f"{name:>16}" for name, _ in STEPS) + f"{'all':>10}{'bar':>7}")
    for path in paths:
        for round_trip in round_trips:
            what = f"{path} at {round_trip} ms"
            ends = tests.try_out(what, lambda: measure(programs, folder, path, round_trip, runs))
            print(f"{path:10}{round_trip:>8} ms", end="")
            if not ends:
                print("  FAILED")
                continue
            for begin, end in zip([0, *ends], ends):
                print(f"{end - begin:>8.0f}{(end - begin) / round_trip:>5.1f} rt", end="")
            bar = 6 * round_trip + 60
            print(f"{ends[-1]:>10.0f}{bar:>7.0f}{'  over' if ends[-1] > bar else ''}", flush=True)
