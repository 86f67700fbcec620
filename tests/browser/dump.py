"""Our export beside a dump of chrome://webrtc-internals of the same browser: the same structure, so that
what reads the one reads the other."""

import gzip
import json
import re

# What Chromium 156 also writes, in calls of another course.
OTHERS = {"addIceCandidate", "onicecandidate", "restartIce"}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def read(path):
    raw = path.read_bytes()
    return json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)


def kind(value):
    """The type that JSON knows; several kinds of numbers are one."""
    return {bool: "boolean", int: "number", float: "number"}.get(type(value), type(value).__name__)


def number(value):
    """The page writes texts that look like numbers (`mid`, `foundation`) as numbers."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def members(stats):
    """Type of object -> member -> the kinds of its values. Complains about what no importer reads."""
    found, ids = {}, {}
    for name, series in stats.items():
        if "-[" in name:
            continue  # what the page has computed of other members
        assert set(series) == {"startTime", "endTime", "statsType", "values"}, f"{name} has {sorted(series)}"
        assert ISO.fullmatch(series["startTime"]) and ISO.fullmatch(series["endTime"]), name
        values = json.loads(series["values"])
        of, member = name.rsplit("-", 1)
        ids.setdefault(of, {})[member] = len(values)
        kinds = found.setdefault(series["statsType"], {}).setdefault(member, set())
        kinds.update(kind(number(value)) for value in values if value is not None)
    for of, lengths in ids.items():
        assert "timestamp" in lengths, f"{of} has no times"
    return found


class Comparison:
    def __init__(self):
        self.wrong = 0

    def check(self, what, holds):
        self.wrong += not holds
        print(f"{'ok   ' if holds else 'WRONG'} {what}")


def compare(browser, ours):
    """How many things are another way in `ours`."""
    table = Comparison()
    for name in ("PeerConnections", "UserAgent", "getUserMedia", "timestamp"):
        table.check(f"dump: {name} is a {kind(browser[name])}", kind(ours.get(name)) == kind(browser[name]))
    theirs, mine = (next(iter(dump["PeerConnections"].values())) for dump in (browser, ours))
    names = (set(browser["PeerConnections"]), set(ours["PeerConnections"]))
    table.check("connections are named PROCESS-NUMBER", all(re.fullmatch(r"\d+-\d+", n) for n in set.union(*names)))
    for name in theirs:
        table.check(f"connection: {name} is a {kind(theirs[name])}", kind(mine.get(name)) == kind(theirs[name]))
    table.check("connection: rtcConfiguration is JSON", kind(json.loads(mine["rtcConfiguration"])) == "dict")
    known, used = members(theirs["stats"]), members(mine["stats"])
    shared = 0
    for of, kinds in sorted(used.items()):
        both = [name for name in kinds if kinds[name] and known.get(of, {}).get(name)]
        other = [name for name in both if not kinds[name] <= known[of][name]]
        shared += len(both)
        table.check(f"stats: {of}: {len(both)} members of {len(kinds)} are the browser's too, "
                    f"{'of the same kind' if not other else f'another kind: {other}'}", not other)
    table.check(f"stats: {shared} members in common", shared > 150)
    line = theirs["updateLog"][0]
    table.check(f"log: lines have {sorted(line)}",
                all(kind(entry.get(name)) == kind(line[name]) for entry in mine["updateLog"] for name in line))
    browsers = {entry["type"] for entry in theirs["updateLog"]} | OTHERS
    standard = {entry["type"] for entry in mine["updateLog"] if not entry["type"].startswith("sightline.")}
    table.check(f"log: {len(standard)} names, unknown to the browser: {sorted(standard - browsers)}", standard <= browsers)
    for name in sorted(standard & browsers):
        shape = lambda log: {kind(json.loads(entry["value"])) for entry in log if entry["type"] == name and entry["value"]}
        table.check(f"log: the value of {name}", shape(mine["updateLog"]) <= shape(theirs["updateLog"])
                    or not shape(theirs["updateLog"]))
    return table.wrong
