"""Every NAT against every NAT, with every way to the relay: who connects, over which path, how fast."""
import shutil
import statistics

from call import Call, Failed, Server, repetitions, wait_for
from lab import COTURN, NATS, SERVER, Lab, ip

TURN, PORTS = f"{{ {SERVER}, {COTURN} }}", "{ 80, 3478, 3479 }"

# What the internet between them lets through to the relay; TLS on 443 stays open.
RELAYS = {
    "udp": "",
    "tcp": f"ip daddr {TURN} udp dport {PORTS} drop",
    "tls": f"ip daddr {TURN} meta l4proto {{ tcp, udp }} th dport {PORTS} drop",
}
NO_UDP = ("web", "https", "proxy")


def must_relay(a, b):
    """Whether no packet of one can reach the other: then, and only then, a relay is right."""
    hard = {"restricted", "symmetric"}
    return a in NO_UDP or b in NO_UDP or ("symmetric" in (a, b) and {a, b} <= hard)


def relay_protocols(a, b, relay):
    """By which protocols a relay may be reached here."""
    open_ways = {"udp": {"udp"}, "tcp": {"tcp"}, "tls": {"tls"}}[relay]
    strict = {"web": {"tls"} if relay == "tls" else {"tcp", "tls"}, "https": {"tls"}}
    ways = set()
    for nat in (a, b):
        ways |= strict.get(nat, open_ways)
    return ways


def cell(programs, folder, a, b, relay="udp", families=(4,), prepare=None, expected=None, coturn=False):
    """One call at 20 ms round trip; gives (path, ms) or raises Failed."""
    with Lab(programs, {"a": [a], "b": [b]}, 20, families) as lab, Server(lab, folder / "server", coturn=coturn) as server:
        lab.block(RELAYS[relay])
        if prepare:
            prepare(lab)
        with Call(server, more=("--size", "320x180")) as call:
            took = call.call()
            wait_for("selected pair", lambda: all(side.pair() for side in call.sides))
            if not must_relay(a, b) and not expected:
                # The first working path is taken; a better one follows.
                wait_for("a direct path", lambda: not call.is_relayed(), 20)
            path, relayed = call.path(), call.is_relayed()
            call.hang_up()
    if expected:
        if path not in expected:
            raise Failed(f"{path} in {took:.0f} ms instead of {' or '.join(expected)}")
        return path, took
    if relayed != must_relay(a, b):
        raise Failed(f"{path} in {took:.0f} ms, but a relay was {'' if must_relay(a, b) else 'not '}needed")
    if relayed:
        used = {part.split("–")[0] for part in path.split("relay/")[1:]}
        if not used <= relay_protocols(a, b, relay):
            raise Failed(f"{path}: expected a relay over {' or '.join(sorted(relay_protocols(a, b, relay)))}")
    return path, took


def counted(tests, name, test, times):
    """A cell tried so many times: how often it connected if more than once, the paths, the median time."""
    done = [found for found in (tests.try_out(name, test) for _ in range(times)) if found]
    if not done:
        return "FAILED"
    paths = "|".join(sorted({path for path, _ in done}))
    took = f"{paths} {statistics.median(ms for _, ms in done):.0f}"
    return took if times == 1 else f"{len(done)}/{times} {took}"


def matrix(tests, programs, folder, words=()):
    """The table; every cell is a test, or several. Words choose relays, NATs and how often (`x5`)."""
    nats = [nat for nat in NATS if nat in words] or NATS
    relays = [relay for relay in RELAYS if relay in words] or RELAYS
    times = repetitions(words, 1)
    for relay in relays:
        print(f"\nthe relay over {relay}; caller down, callee across; path, ms from call to first picture at the caller")
        if times > 1:
            print(f"how many of {times} calls connected as expected, paths, median")
        print(f"{'':11}" + "".join(f"{b:>29}" for b in nats))
        for a in nats:
            print(f"{a:11}", end="", flush=True)
            for b in nats:
                name = f"{a} to {b}, relay over {relay}"
                text = counted(tests, name, lambda: cell(programs, folder, a, b, relay), times)
                print(f"{text:>29}", end="", flush=True)
            print()


def without_default_route(lab):
    """As in a network without the internet: routes to what is near only."""
    ip("a", "route del default", f"route add 203.0.113.0/24 via {lab.uplinks['a'][0].gateway}",
       f"route add 192.168.0.0/16 via {lab.uplinks['a'][0].gateway}")


def interface_without_route(lab):
    """An interface with an address, and nothing behind it."""
    ip("a", "link add usb0 type veth peer name usb1", "link set usb0 up", "link set usb1 up", "addr add 10.9.9.1/24 dev usb0")


SPECIAL = {
    "one router for both": dict(a="restricted", b="behind a1", expected=["host–host"]),
    "one router for both, no default route at the caller": dict(
        a="symmetric", b="behind a1", prepare=without_default_route, expected=["host–host"]),
    "an interface that leads nowhere": dict(
        a="restricted", b="restricted", prepare=interface_without_route, expected=["srflx–srflx", "srflx–prflx"]),
    "IPv6 only, firewalls on both sides": dict(
        a="restricted", b="restricted", families=(6,), expected=["host–host", "host–prflx", "prflx–host"]),
    "only an HTTP proxy leads out, named by the environment": dict(
        a="proxy", b="restricted", expected=[f"relay/{by}–{end}" for by in ("tcp", "tls") for end in ("srflx", "prflx")]),
    "only an HTTP proxy leads out on both sides, named by environment and flag": dict(
        a="proxy", b="proxy", expected=[f"relay/{a}–relay/{b}" for a in ("tcp", "tls") for b in ("tcp", "tls")]),
    "both families, symmetric NATs on both sides": dict(
        a="symmetric", b="symmetric", families=(4, 6), expected=["host–host", "host–prflx", "prflx–host"]),
}


def special(tests, programs, folder, words=()):
    """Cells beside the matrix; words that occur in a name choose."""
    print("\nspecial networks; path, ms from call to first picture at the caller")
    for name, how in SPECIAL.items():
        if words and not any(word in name for word in words):
            continue
        done = tests.try_out(name, lambda: cell(programs, folder, **how))
        print(f"  {name}: " + (f"{done[0]} {done[1]:.0f}" if done else "FAILED"), flush=True)


def coturn(tests, programs, folder, _words=()):
    """The same server with coturn for a relay: every way to it, from behind the NATs that need one."""
    if not shutil.which("turnserver"):
        print("coturn as the relay: skipped 3 tests, turnserver is not installed")
        return
    print("\ncoturn as the relay; path, ms from call to first picture at the caller")
    for a, b, relay in (("symmetric", "restricted", "udp"), ("symmetric", "restricted", "tcp"), ("https", "web", "tls")):
        name = f"coturn over {relay}, {a} to {b}"
        done = tests.try_out(name, lambda: cell(programs, folder, a, b, relay, coturn=True))
        print(f"  {name}: " + (f"{done[0]} {done[1]:.0f}" if done else "FAILED"), flush=True)
