"""Calls over bad links: what is seen, second by second, when packets get lost or the link is narrow."""
import time

from call import Call, Server
from lab import Lab

# Name, seconds, settings of a's link in both directions. Several lines of one name are played in turn.
LINKS = [
    ("clean", 10, {}),
    ("5 % loss", 15, {"loss": 5}),
    ("5 % loss in bursts of 5", 15, {"loss": 5, "burst": 5}),
    ("30 ms jitter", 10, {"jitter": 30}),
    ("2 Mbit/s", 15, {"rate": 2000, "queue": 50_000}),
    ("then 0.5 Mbit/s", 20, {"rate": 500, "queue": 12_500}),
    ("then 2 Mbit/s", 30, {"rate": 2000, "queue": 50_000}),
    ("1 Mbit/s with 2 s of queue", 30, {"rate": 1000, "queue": 250_000}),
]
FINE = {"delay": 10, "loss": 0, "burst": 1, "jitter": 0, "rate": 0}


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))] if values else float("nan")


def freezes(times):
    """Gaps over max(3 x mean, mean + 150 ms), as W3C's webrtc-stats counts them."""
    gaps = [b - a for a, b in zip(times, times[1:])]
    mean = sum(gaps) / max(1, len(gaps))
    return [gap for gap in gaps if gap > max(3 * mean, mean + 150)]


def seen(source, sink, begin, end):
    """Pictures per second, freezes, their total in ms, and delays of what one side saw in that time."""
    captured = {number: t for t, number in source.frames("cap.log")}
    frames = [(t, n) for t, n in sink.frames("ren.log") if begin <= t < end]
    times = [t for t, _ in frames]
    frozen = freezes([begin, *times, end])
    delays = [t - captured[n] for t, n in frames if n in captured]
    return len(frames) / (end - begin) * 1e3, len(frozen), sum(frozen), percentile(delays, 50), percentile(delays, 95)


def play(programs, folder, parts):
    """One call over the parts in turn; a line for each and direction."""
    with Lab(programs, {"a": ["restricted"], "b": ["restricted"]}, 40) as lab, Server(lab, folder / "server") as server:
        with Call(server, more=("--size", "1280x720")) as call:
            call.call()
            time.sleep(4)
            lines = []
            link = lab.uplinks["a"][0]
            for name, seconds, settings in parts:
                before = link.counters()
                link.link(**{**FINE, **settings})
                begin = time.time() * 1e3
                time.sleep(seconds)
                end, after = time.time() * 1e3, link.counters()
                lines.append((name, begin, end, before, after))
            time.sleep(1)
            table = []
            for name, begin, end, before, after in lines:
                for way, source, sink in (("up", *call.sides), ("down", *call.sides[::-1])):
                    spent = {key: after[way][key] - before[way][key] for key in ("bytes", "lost", "overflow")}
                    table.append((name, way, spent["bytes"] * 8 / (end - begin), spent["lost"], spent["overflow"],
                                  *seen(source, sink, begin, end)))
            call.hang_up()
            return table


def links(tests, programs, folder, _words=()):
    """The table; lines that belong together are one call and one test."""
    print("\nover bad links, 1280x720, 40 ms round trip; up: seen by the callee, down: by the caller")
    print(f"{'link':28}{'way':>5}{'kbit/s':>8}{'lost':>6}{'queue full':>11}{'fps':>7}{'freezes':>9}{'frozen ms':>11}"
          f"{'delay p50':>11}{'p95':>7}")
    calls = []
    for part in LINKS:
        if part[0].startswith("then "):
            calls[-1].append(part)
        else:
            calls.append([part])
    for parts in calls:
        for name, way, rate, lost, full, fps, count, frozen, median, worst in tests.try_out(
                parts[0][0], lambda: play(programs, folder, parts)) or [(parts[0][0], "FAILED", *[0] * 8)]:
            print(f"{name:28}{way:>5}{rate:>8.0f}{lost:>6}{full:>11}{fps:>7.1f}{count:>9}{frozen:>11.0f}"
                  f"{median:>11.0f}{worst:>7.0f}", flush=True)
