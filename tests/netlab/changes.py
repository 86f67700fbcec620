"""What happens to a call when its network changes: one scenario a function, with the gap it leaves.

A gap is the longest time without a new picture, at the side that waited longer. What must be true is
asserted (the call goes on, the path is the right one, nothing is lost where nothing may be); times are
printed beside the bar, because they depend on how busy the computer is.
"""
import signal
import time

from call import Call, Failed, Server, wait_for
from lab import Lab, ip
from matrix import interface_without_route
from speed import APART

ROUND_TRIP = 20
TRIES = 3


class Lost(Failed):
    """Pictures were lost. A computer that is too busy loses some as well, so it is tried again; what
    the change itself breaks breaks every time."""


class Scene:
    """A lab with a call that has settled, and the notes of what happened."""

    def __init__(self, programs, folder, a=("restricted",), b=("restricted",), both_plugged=False, tls=True, more=(),
                 server_more=(), before=None):
        self.lab = Lab(programs, {"a": a, "b": b}, ROUND_TRIP)
        self.server = self.call = None
        try:
            if both_plugged:
                self.lab.uplinks["a"][1].plug()
            if before:
                before(self.lab)
            self.server = Server(self.lab, folder / "server", tls, server_more)
            self.call = Call(self.server, more=("--size", "640x360", *more))
            self.call.call()
            time.sleep(3)
            self.began = now()
        except BaseException:
            self.__exit__()
            raise

    def uplink(self, number=1, peer="a"):
        return self.lab.uplinks[peer][number - 1]

    def flows(self, since, limit=40):
        """Waits until both sides have shown pictures for a second after `since`, and says how long the first
        took, in ms."""
        firsts = []
        for side in self.call.sides:
            def shown(side=side):
                times = [t for t, _ in side.frames("ren.log") if t > since]
                return times if len(times) > 15 and times[-1] - times[0] > 500 else None
            firsts.append(wait_for(f"picture at the {side.role}", shown, limit)[0] - since)
        return max(firsts)

    def events(self, name):
        return [e for side in self.call.sides for e in side.events() if e["ev"] == name and e["t"] > self.began]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in (self.call, self.server, self.lab):
            if part:
                part.__exit__()


def now():
    return time.time() * 1e3


def nothing_lost(scene):
    """Asserts that the pictures of the last seconds were shown, but for two that a busy computer may leave
    out, and gives the gap."""
    time.sleep(1)
    missing, gap = scene.call.missing(scene.began), scene.call.gap(scene.began)
    if missing > 2:
        raise Lost(f"{missing} pictures were lost, gap {gap:.0f} ms")
    return gap


def unrelated_interface(programs, folder):
    """an interface that does not carry the call comes and goes: no picture is lost"""
    with Scene(programs, folder) as scene:
        interface_without_route(scene.lab)
        time.sleep(3)
        ip("a", "link delete usb0")
        time.sleep(3)
        return nothing_lost(scene), 100


def second_uplink_comes(programs, folder):
    """Ethernet is plugged in during a call over Wi-Fi, and takes the default route: no gap"""
    with Scene(programs, folder, a=("restricted", "cone")) as scene:
        scene.uplink(2).plug()
        time.sleep(6)
        scene.flows(now())
        return scene.call.gap(scene.began), 500 + ROUND_TRIP


def uplink_lost(programs, folder):
    """the interface in use is lost, the other one is up"""
    with Scene(programs, folder, a=("restricted", "cone"), both_plugged=True) as scene:
        used = scene.call.caller.pair()["local"]["address"]
        lost = next((u for u in scene.lab.uplinks["a"] if u.address == used), scene.uplink(2))
        lost.unplug()
        scene.flows(now() + 200)
        return scene.call.gap(scene.began), 500 + ROUND_TRIP


def wifi_to_ethernet(programs, folder):
    """Wi-Fi is lost, Ethernet comes 2 s later; from then"""
    with Scene(programs, folder, a=("restricted", "cone")) as scene:
        scene.uplink(1).unplug()
        time.sleep(2)
        usable = now()
        scene.uplink(2).plug()
        return scene.flows(usable), 500 + ROUND_TRIP


def address_change(programs, folder):
    """the address changes, on the same interface"""
    with Scene(programs, folder) as scene:
        scene.uplink().renumber(7)
        scene.flows(now() + 200)
        return scene.call.gap(scene.began), 500


def outage(programs, folder, seconds=3):
    """3 s without a link; from its return"""
    with Scene(programs, folder) as scene:
        scene.uplink().link(outage="on")
        time.sleep(seconds)
        back = now()
        scene.uplink().link(outage="off")
        return scene.flows(back, 60), 150 + ROUND_TRIP / 2


def minute_without_network(programs, folder):
    """60 s without any network; from when its router answers again"""
    with Scene(programs, folder) as scene:
        scene.uplink().unplug()
        time.sleep(60)
        scene.uplink().plug()
        scene.uplink().wait_until_usable()
        return scene.flows(now(), 60), 500 + ROUND_TRIP


def server_killed(programs, folder):
    """the server dies for 5 s during a direct call: 0 pictures lost"""
    with Scene(programs, folder) as scene:
        scene.server.kill()
        time.sleep(5)
        scene.server.restart()
        for side in scene.call.sides:
            side.wait_for("signaling", state="resumed")
        return nothing_lost(scene), 100


def change_without_server(programs, folder):
    """the address changes while the server is dead; from the server's return"""
    with Scene(programs, folder) as scene:
        scene.server.kill()
        scene.uplink().renumber(7)
        time.sleep(3)
        back = now()
        scene.server.restart()
        return scene.flows(back), 1500


def suspended(programs, folder, seconds=60):
    """one side is stopped for a minute (suspend), then goes on; from then"""
    with Scene(programs, folder) as scene:
        scene.call.callee.signal(signal.SIGSTOP)
        time.sleep(seconds)
        back = now()
        scene.call.callee.signal(signal.SIGCONT)
        return scene.flows(back), 500 + ROUND_TRIP


def both_restart(programs, folder):
    """both sides look for a new path at the same moment"""
    with Scene(programs, folder) as scene:
        for side in scene.call.sides:
            side.say("restart")
        time.sleep(3)
        scene.flows(now())
        return scene.call.gap(scene.began), 500


def better_path(programs, folder):
    """a relayed call, then the direct path opens: taken without a gap"""
    with Scene(programs, folder, before=lambda lab: lab.block(APART)) as scene:
        if not scene.call.is_relayed():
            raise Failed("the call was direct although nothing can be")
        scene.lab.block("")
        wait_for("a direct path", lambda: not scene.call.is_relayed(), 60)
        time.sleep(2)
        return scene.call.gap(scene.began), 100


def short_credentials(programs, folder, lifetime=8):
    """a relayed call with TURN credentials that last 8 s, for 30 s: nothing is lost"""
    with Scene(programs, folder, before=lambda lab: lab.block(APART), server_more=["--turn-lifetime", lifetime]) as scene:
        time.sleep(30)
        return nothing_lost(scene), 500


SCENARIOS = [unrelated_interface, second_uplink_comes, uplink_lost, wifi_to_ethernet, address_change, outage, server_killed,
             change_without_server, suspended, both_restart, better_path, short_credentials, minute_without_network]
SHORT = [unrelated_interface, outage]


def tried(scenario, programs, folder):
    """Once, or again if pictures were lost."""
    for _ in range(TRIES - 1):
        try:
            return scenario(programs, folder)
        except Lost:
            continue
    return scenario(programs, folder)


def changes(tests, programs, folder, words=()):
    """The table; every scenario is a test. Words choose scenarios."""
    scenarios = [scenario for scenario in SCENARIOS if not words or scenario.__name__ in words]
    print(f"\nwhat a change leaves behind, at {ROUND_TRIP} ms round trip: gap in ms (and what it should be at most)")
    for number, scenario in enumerate(scenarios):
        what = " ".join(scenario.__doc__.split())
        done = tests.try_out(what, lambda: tried(scenario, programs, folder / f"change{number}"))
        text = f"{done[0]:7.0f} ({done[1]:.0f})" if done else "  FAILED"
        mark = "  over" if done and done[0] > done[1] else ""
        print(f"{text:16} {what}{mark}", flush=True)
