"""Calls the probe from a page in a browser, and compares the statistics of both sides."""

import json
import os
import pathlib
import queue
import subprocess
import sys
import time

import dump
from room import BINARIES, PATIENCE, Room


def of(objects, kind, media=None):
    found = [entry for entry in objects if entry["type"] == kind and media in (None, entry.get("kind"))]
    assert found, f"no {kind} {media or ''} among {sorted({entry['type'] for entry in objects})}"
    return max(found, key=lambda entry: entry.get("packetsSent", 0) + entry.get("packetsReceived", 0))


def our_reports(folder):
    with open(folder / "stats.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


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
    with Room("--size", "640x360") as room:
        # It counts only what happens after it was opened.
        internals = room.browser.tab("chrome://webrtc-internals")
        room.visit("talk")
        report = room.report("done")
        time.sleep(2.5)
        room.say("hangup")
        # The last reports before the browser went are those that count.
        ours = [r for r in our_reports(room.out) if any(e["type"] == "inbound-rtp" for e in r["stats"])]
        wrong = compare(report, ours)
        room.probe.wait(PATIENCE)
        theirs = room.browser.dump(internals)
        subprocess.run([BINARIES / "sightline", "export", room.out / "session.jsonl",
                        room.work / "export.json"], check=True, stdout=subprocess.DEVNULL)
        wrong += dump.compare(theirs, dump.read(room.work / "export.json"))
        if keep := os.environ.get("KEEP"):
            pathlib.Path(keep).write_text(json.dumps({"browser": report, "ours": ours[-1]}), encoding="utf-8")
    sys.exit(f"{wrong} values differ" if wrong else 0)


try:
    main()
except (AssertionError, queue.Empty) as error:
    sys.exit(f"browser: {str(error) or 'the page said nothing'}")
