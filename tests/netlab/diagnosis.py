"""What the diagnosis says of calls across real networks in trouble, and what the statistics say beside what
the lab knows: one scenario a function."""
import json
import subprocess
import time

from call import Call, Failed, Server, wait_for
from lab import Lab, inside

SIZE = ("--size", "640x360")


class Scene:
    """A call between these NATs, settled."""

    def __init__(self, programs, folder, a, b, round_trip=40):
        self.parts = []
        try:
            self.lab = self.hold(Lab(programs, {"a": [a], "b": [b]}, round_trip))
            self.server = self.hold(Server(self.lab, folder / "server"))
            self.call = self.hold(Call(self.server, more=SIZE))
            self.call.call()
            self.link = self.lab.uplinks["a"][0]
        except BaseException:
            self.__exit__()
            raise

    def hold(self, part):
        self.parts.append(part)
        return part

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in reversed(self.parts):
            part.__exit__()


def told(side, rule, limit=30):
    """The sentence of a rule, as soon as it is the first one at that side."""
    def found():
        return next((e["text"] for e in side.events() if e["ev"] == "diagnosis" and e["rule"] == rule), None)
    try:
        text = wait_for(f"diagnosis {rule} at the {side.role}", found, limit)
    except Failed as failed:
        said = [e["rule"] for e in side.events() if e["ev"] == "diagnosis"]
        raise Failed(f"{failed}; it said {said}") from None
    print(f"  {side.role} {rule}: {text}", flush=True)


def blocked_udp(programs, folder):
    """a firewall lets no UDP through: it is told while the call goes over a stream"""
    with Scene(programs, folder, "web", "restricted") as scene:
        told(scene.call.caller, "udp_blocked")


def symmetric_here(programs, folder):
    """a symmetric NAT at the caller: the call works over a relay, and both sides know why"""
    with Scene(programs, folder, "symmetric", "restricted") as scene:
        symmetric(scene.call.caller, scene.call.callee)


def symmetric_there(programs, folder):
    """a symmetric NAT at the callee: the same the other way round"""
    with Scene(programs, folder, "restricted", "symmetric") as scene:
        symmetric(scene.call.callee, scene.call.caller)


def symmetric(side, other):
    def explained():
        fine = [e for e in side.events() if e["ev"] == "diagnosis" and e["rule"] == "fine"]
        return next((line for e in fine for line in e["evidence"] if "symmetric NAT" in line), None)

    def known():
        facts = [e["facts"] for e in other.events() if e["ev"] == "facts" and e["side"] == "remote"]
        return any(fact["nat"] == "endpoint_dependent" for fact in facts)
    print(f"  {side.role}: {wait_for(f'explanation at the {side.role}', explained, 15)}", flush=True)
    wait_for(f"facts at the {other.role}", known, 15)


def loss(programs, folder):
    """a link loses packets at random: no queue is blamed"""
    with Scene(programs, folder, "restricted", "restricted") as scene:
        time.sleep(3)
        scene.link.link("up", loss=20)
        told(scene.call.caller, "random_loss")
        told(scene.call.callee, "loss_incoming")


def queue(programs, folder):
    """a narrow link with a long queue: no random loss is blamed"""
    with Scene(programs, folder, "restricted", "restricted") as scene:
        time.sleep(6)
        scene.link.link("up", rate=300, queue=60_000)
        told(scene.call.caller, "congestion")
        # What comes after, while the estimate finds its way down, is another matter.


def silence(programs, folder):
    """the network goes: the path is called silent, and the call comes back with it"""
    with Scene(programs, folder, "restricted", "restricted") as scene:
        time.sleep(3)
        scene.link.link(outage="on")
        for side in scene.call.sides:
            told(side, "path_silent")
        scene.link.link(outage="off")
        back = time.time() * 1e3
        for side in scene.call.sides:
            wait_for(f"picture at the {side.role}", lambda side=side: [t for t, _ in side.frames("ren.log") if t > back])


def counted(programs, folder):
    """round trip and bytes are those of the lab"""
    with Scene(programs, folder, "restricted", "restricted", 80) as scene:
        time.sleep(3)
        before = scene.link.counters()["up"]
        first = newest(scene.call.caller)
        time.sleep(8)
        last, after = newest(scene.call.caller), scene.link.counters()["up"]
    pair = selected(last)
    far = [entry["roundTripTime"] for entry in last["stats"] if entry["type"] == "remote-inbound-rtp"]
    for what, seconds in [("checks", pair["currentRoundTripTime"]), *(("reports", far) for far in far)]:
        print(f"  round trip by {what}: {seconds * 1e3:.1f} ms of 80", flush=True)
        if not 0.078 < seconds < 0.2:
            raise Failed(f"the round trip is 80 ms, {what} say {seconds * 1e3:.1f}")
    # IP and UDP have 28 bytes a packet; the server is talked to as well, and the two readings are not at the
    # same moment.
    ours = sum(selected(last)[m] * n - selected(first)[m] * n for m, n in (("bytesSent", 1), ("packetsSent", 28)))
    share = ours / (after["bytes"] - before["bytes"])
    print(f"  bytes by the statistics: {share:.3f} of what the link carried", flush=True)
    if not 0.8 < share < 1.2:
        raise Failed(f"the statistics count {share:.2f} of the link's bytes")


def lost(programs, folder):
    """the losses are those of the link"""
    with Scene(programs, folder, "restricted", "restricted") as scene:
        time.sleep(3)
        scene.link.link("up", loss=10)
        link, (there, here) = scene.link.counters()["up"], losses(scene)
        time.sleep(25)
        after, (last_there, last_here) = scene.link.counters()["up"], losses(scene)
    dropped, passed = (after[m] - link[m] for m in ("lost", "passed"))
    share = dropped / (dropped + passed)
    for what, old, new in (("receiver", there, last_there), ("sender", here, last_here)):
        said = (new[0] - old[0]) / (new[1] - old[1])
        print(f"  the link lost {share:.1%}, the {what}'s statistics say {said:.1%} of the sound", flush=True)
        if abs(said - share) > 0.03:
            raise Failed(f"the link lost {share:.1%}, the {what} says {said:.1%}")


def losses(scene):
    """Packets of the caller's sound that are lost and all of them: by the callee's own count, and by what the
    caller knows from the callee's reports. Pictures are no measure: what is lost of them is sent again."""
    there, here = newest(scene.call.callee), newest(scene.call.caller)
    heard = stream(there, "inbound-rtp")
    reported, sent = stream(here, "remote-inbound-rtp"), stream(here, "outbound-rtp")
    return ((heard["packetsLost"], heard["packetsLost"] + heard["packetsReceived"]),
            (reported["packetsLost"], sent["packetsSent"]))


def limited(programs, folder):
    """the time for which bandwidth limits the picture is the time for which the link is narrow"""
    with Scene(programs, folder, "restricted", "restricted") as scene:
        time.sleep(8)
        first = stream(newest(scene.call.caller), "outbound-rtp", "video")
        scene.link.link("up", rate=250, queue=20_000)
        time.sleep(20)
        last = stream(newest(scene.call.caller), "outbound-rtp", "video")
    durations = last["qualityLimitationDurations"]
    grown = durations["bandwidth"] - first["qualityLimitationDurations"]["bandwidth"]
    elapsed = (last["timestamp"] - first["timestamp"]) / 1e3
    added = sum(durations.values()) - sum(first["qualityLimitationDurations"].values())
    print(f"  {grown:.1f} s limited by bandwidth of {elapsed:.1f} s with a narrow link; all reasons {added:.1f} s", flush=True)
    if not elapsed - 6 < grown < elapsed + 1 or abs(added - elapsed) > 0.5:
        raise Failed(f"{grown:.1f} s are limited by bandwidth, {added:.1f} s by anything or nothing, of {elapsed:.1f} s")


def stream(report, kind, media="audio"):
    return next(entry for entry in report["stats"] if entry["type"] == kind and entry.get("kind") == media)


def narrow_up(programs, folder):
    """the connection test finds a narrow upload"""
    speed(programs, folder, "up", "about 1.", " up, and at least as much down")


def narrow_down(programs, folder):
    """the connection test finds a narrow download"""
    speed(programs, folder, "down", "about 1.", " down, and at least 3.0 up")


def speed(programs, folder, way, *words):
    with Lab(programs, {"a": ["restricted"], "b": ["restricted"]}, 40) as lab, Server(lab, folder / "server") as server:
        lab.uplinks["a"][0].link(way, rate=1800, queue=200_000)
        command = inside("a", programs / "sightline", "doctor", "--json", "--no-devices", *server.probe_flags())
        report = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
        text = next(check["text"] for check in report["checks"] if check["step"] == "throughput")
        print(f"  1.8 Mbit/s {way}: {text}", flush=True)
        if not all(word in text for word in words):
            raise Failed(f"the connection test says: {text}")


def newest(side):
    return wait_for(f"statistics of the {side.role}", lambda: (side.stats() or [None])[-1])


def selected(report):
    transport = next(entry for entry in report["stats"] if entry["type"] == "transport")
    return next(entry for entry in report["stats"] if entry["id"] == transport["selectedCandidatePairId"])


SCENARIOS = (blocked_udp, symmetric_here, symmetric_there, loss, queue, silence, counted, lost, limited, narrow_up, narrow_down)


def diagnosis(tests, programs, folder, words=()):
    """Each scenario, or those that are named."""
    print("\nthe diagnosis across networks in trouble")
    for scenario in SCENARIOS:
        if not words or scenario.__name__ in words:
            print(scenario.__doc__, flush=True)
            tests.try_out(f"diagnosis {scenario.__name__}", lambda scenario=scenario: scenario(programs, folder))
