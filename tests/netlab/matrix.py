"""Every NAT against every NAT, with every way to the relay: who connects, over which path, how fast."""
import time

from call import Call, Failed, Server
from lab import NATS, SERVER, Lab

# What the internet between them lets through to our relay, beside TLS on 443, which stays open.
RELAYS = {
    "udp": "",
    "tcp": f"ip daddr {SERVER} udp dport 3478 drop",
    "tls": f"ip daddr {SERVER} meta l4proto {{ tcp, udp }} th dport 3478 drop",
}
NO_UDP = ("web", "https")


def must_relay(a, b):
    """Whether no packet of one can reach the other: then, and only then, a relay is right."""
    hard = {"restricted", "symmetric"}
    return a in NO_UDP or b in NO_UDP or ("symmetric" in (a, b) and {a, b} <= hard)


def relay_protocols(a, b, relay):
    """By which protocols a relay may be reached here."""
    open_ways = {"udp": {"udp"}, "tcp": {"tcp"}, "tls": {"tls"}}[relay]
    strict = {"web": {"tcp", "tls"}, "https": {"tls"}}
    ways = set()
    for nat in (a, b):
        ways |= strict.get(nat, open_ways)
    return ways


def cell(programs, folder, a, b, relay="udp", round_trip=20, families=(4,), more=()):
    """One call; gives (path, ms) or raises Failed."""
    with Lab(programs, {"a": [a], "b": [b]}, round_trip, families) as lab, Server(lab, folder / "server") as server:
        lab.block(RELAYS[relay])
        with Call(server, more=("--size", "320x180", *more)) as call:
            took = call.call()
            time.sleep(0.3)
            path, relayed = call.path(), call.is_relayed()
            call.hang_up()
    if relayed != must_relay(a, b):
        raise Failed(f"{path} in {took:.0f} ms, but a relay was {'' if must_relay(a, b) else 'not '}needed")
    if relayed:
        used = {part.split("–")[0] for part in path.split("relay/")[1:]}
        if not used <= relay_protocols(a, b, relay):
            raise Failed(f"{path}: expected a relay over {' or '.join(sorted(relay_protocols(a, b, relay)))}")
    return path, took


def matrix(tests, programs, folder, relays=("udp", "tcp", "tls"), nats=NATS, **more):
    """The table; every cell is a test."""
    for relay in relays:
        print(f"\nthe relay over {relay}; caller down, callee across; path and ms from call to first picture at the caller")
        print(f"{'':11}" + "".join(f"{b:>21}" for b in nats))
        for a in nats:
            print(f"{a:11}", end="", flush=True)
            for b in nats:
                done = tests.try_out(f"{a} to {b}, relay over {relay}", lambda: cell(programs, folder, a, b, relay, **more))
                text = f"{done[0]} {done[1]:.0f}" if done else "FAILED"
                print(f"{text:>21}", end="", flush=True)
            print()
