"""The pointer over bad links: how late the other side knows where the hand is, and for how long it does not."""
import time

from call import Call, Server, wait_for
from lab import Lab
from links import percentile

# Name, settings of a's link in both directions, round trip in ms.
LINKS = [
    ("a local network", {}, 2),
    ("5 % loss, local network", {"loss": 5}, 2),
    ("5 % loss, 40 ms round trip", {"loss": 5}, 40),
    ("5 % loss in bursts of 5", {"loss": 5, "burst": 5}, 40),
]
SECONDS, PACE = 20, 1 / 60


def play(programs, folder, settings, round_trip):
    """Moves the hand for some seconds: delays of the places that arrived, gaps between them, and how many of
    the places never did. Milliseconds."""
    with Lab(programs, {"a": ["restricted"], "b": ["restricted"]}, round_trip) as lab, \
            Server(lab, folder / "server") as server:
        with Call(server, more=("--video", "none", "--audio", "none")) as call:
            call.caller.say("call")
            for side in call.sides:
                side.wait_for("connection", state="connected")
            call.callee.say("share pattern:640x360")
            call.caller.wait_for("share", side="remote", state="shown")
            time.sleep(1)
            if settings:
                lab.uplinks["a"][0].link(**settings)
            said, begin = {}, time.monotonic()
            for n in range(int(SECONDS / PACE)):
                time.sleep(max(0.0, begin + n * PACE - time.monotonic()))
                # The number of the place is where it is.
                said[n] = time.time() * 1e3
                call.caller.say(f"point {n / 2000 + 1e-4:.5f},0.5")
            time.sleep(1)
            seen = {}
            for event in call.callee.events():
                if event["ev"] == "pointer" and event.get("at"):
                    seen.setdefault(round((event["at"][0] - 1e-4) * 2000), event["t"])
            call.hang_up()
    times = sorted(seen.values())
    wait_for("places at the other side", lambda: len(times) > 10)
    delays = [t - said[n] for n, t in seen.items() if n in said]
    return delays, [b - a for a, b in zip(times, times[1:])], 1 - len(seen) / len(said)


def pointing(tests, programs, folder, _words=()):
    """The table."""
    print(f"\nthe pointer, {1 / PACE:.0f} places a second for {SECONDS} s, ms from the script's line to the other side's event")
    print(f"{'link':28}{'delay p50':>11}{'p95':>7}{'gap p50':>10}{'p95':>7}{'most':>7}{'not seen':>10}")
    for name, settings, round_trip in LINKS:
        done = tests.try_out(f"pointer, {name}", lambda: play(programs, folder, settings, round_trip))
        if done:
            delays, gaps, lost = done
            print(f"{name:28}{percentile(delays, 50):>11.1f}{percentile(delays, 95):>7.1f}{percentile(gaps, 50):>10.1f}"
                  f"{percentile(gaps, 95):>7.1f}{max(gaps):>7.1f}{lost:>10.1%}", flush=True)
