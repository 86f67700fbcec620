"""The lab: network namespaces, routers with a NAT, links with delay and loss, and the servers.

    a ── wlan0 ── a1 ══ link ══╗                    ╔══ link ══ b1 ── wlan0 ── b
     └── eth0 ─── a2 ══ link ══╬══ net ── server    ╬══ link ══ b2 ─── eth0 ──┘
                               ╚════════════════════╝

`a` and `b` are the clients, `a1` … their routers (one an uplink), `net` the internet in between, and
`server` has three public addresses. Everything lives in namespaces of its own, held by one process: when
that ends, however it ends, nothing is left.
"""
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

NATS = ("none", "cone", "restricted", "symmetric", "web", "https")
# Our server; coturn; a STUN server that has no relay.
SERVER, COTURN, STUN = "203.0.113.10", "203.0.113.11", "203.0.113.12"
SERVER6 = "2001:db8:f::10"
INTERFACES = {1: "wlan0", 2: "eth0"}
# As NetworkManager has it: the wire is preferred.
METRICS = {1: 600, 2: 100}
PROXY_PORT = 3128
PUBLIC = {"a": "198.51.100", "b": "192.0.2"}


# Where `ip netns` keeps its names: a place that only this world sees.
NAMES = ("{ mkdir -p /run/netns 2>/dev/null || { mount -t tmpfs none /run && mkdir /run/netns; }; }"
         " && mount -t tmpfs none /run/netns")


def run(*command, **more):
    """Runs a command; what it says on stderr is the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def ip(namespace, *lines):
    """Commands of `ip`, in one namespace."""
    run("ip", *(["-n", namespace] if namespace else []), "-batch", "-", input="\n".join(lines))


def inside(namespace, *command):
    return ["ip", "netns", "exec", namespace, *map(str, command)]


def cannot():
    """Why there can be no lab here; None if there can."""
    for tool in ("ip", "nft", "ss", "unshare", "nsenter", "openssl", "tcpdump"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    trial = f"{NAMES} && ip netns add x && ip netns exec x nft flush ruleset"
    done = subprocess.run([*world(), "sh", "-c", trial], capture_output=True, text=True, check=False)
    return f"network namespaces are not permitted ({done.stderr.strip()})" if done.returncode else None


def world():
    """A world of its own for processes, mounts and networks; it ends with its first process."""
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *root, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def enter():
    """Goes on in a new process in such a world, and never comes back."""
    if os.environ.get("NETLAB") != "inside":
        os.execvpe("unshare", [*world(), sys.executable, *sys.argv], {**os.environ, "NETLAB": "inside"})
    run("sh", "-c", NAMES)


class Uplink:
    """One way of a client to the internet: interface, router, NAT, link."""

    def __init__(self, lab, peer, number, nat):
        self.lab, self.peer, self.number, self.nat = lab, peer, number, nat
        # "behind a1": a second network behind the router of somebody else.
        self.shared = nat.startswith("behind ")
        self.router = nat.removeprefix("behind ") if self.shared else f"{peer}{number}"
        self.interface = INTERFACES[number]
        index = ord(peer) - ord("a") + 1
        self.wan = f"{PUBLIC[peer]}.{number}"
        self.net6 = f"2001:db8:{index}{number}:"
        lan = f"{PUBLIC[peer]}.{64 * number}" if nat == "none" else f"192.168.{index}{number}.0"
        head, last = lan.rsplit(".", 1)
        self.lan, self.gateway, self.address = f"{lan}/28", f"{head}.{int(last) + 1}", f"{head}.{int(last) + 2}"
        self.proxy = None
        self.address6, self.gateway6 = f"{self.net6}:2", f"{self.net6}:1"

    def build(self):
        v4, v6 = 4 in self.lab.families, 6 in self.lab.families
        lan = f"lan-{self.peer}"
        if not self.shared:
            self.build_router(v4, v6)
        ip(self.router, f"link add {lan} type veth peer name {self.interface} netns {self.peer}", f"link set {lan} up",
           *[f"addr add {self.gateway}/28 dev {lan}"] * v4, *[f"addr add {self.gateway6}/64 dev {lan} nodad"] * v6)
        if self.nat == "proxy":
            self.start_proxy()

    def start_proxy(self):
        """A proxy on the router, for the network that lets nothing else out."""
        self.proxy = subprocess.Popen(inside(self.router, sys.executable, HERE / "proxy.py", self.gateway, PROXY_PORT),
                                      stdout=subprocess.PIPE, text=True)
        if self.proxy.stdout.readline() != "ready\n":
            raise RuntimeError("the proxy did not start")

    def build_router(self, v4, v6):
        run("ip", "netns", "add", self.router)
        # The far end of the link lies in the internet.
        ip("", f"link set {self.router}.near netns {self.router} name wan",
           f"link set {self.router}.far netns net name {self.router}")
        ip(self.router, "link set lo up", "link set wan up",
           *[f"addr add {self.wan}/32 dev wan", "route add default dev wan"] * v4, *["route add ::/0 dev wan"] * v6)
        forward(self.router)
        ip("net", f"link set {self.router} up",
           *[f"route add {self.wan}/32 dev {self.router}"] * v4,
           *[f"route add {self.lan} dev {self.router}"] * (v4 and self.nat == "none"),
           *[f"route add {self.net6}:/64 dev {self.router}"] * v6)
        self.set_nat(self.nat)

    def set_nat(self, nat):
        """Loads the rules of a NAT; between `none` and the others only a new lab can change."""
        self.nat = nat
        run(*inside(self.router, "nft", "flush", "ruleset"))
        run(*inside(self.router, "nft", "-I", HERE / "nat", "-D", f"CLIENT={self.address}", "-f",
                    HERE / "nat" / f"{nat}.nft"))

    def plug(self):
        """The interface comes up, with its addresses and routes."""
        metric = METRICS[self.number]
        ip(self.peer, f"link set {self.interface} up",
           *[f"addr replace {self.address}/28 dev {self.interface}",
             f"route replace default via {self.gateway} dev {self.interface} metric {metric}"] * (4 in self.lab.families),
           *[f"addr replace {self.address6}/64 dev {self.interface} nodad",
             f"route replace ::/0 via {self.gateway6} dev {self.interface} metric {metric}"] * (6 in self.lab.families))

    def unplug(self):
        """The interface goes, as when a cable is pulled and its address is taken away."""
        ip(self.peer, f"link set {self.interface} down", f"addr flush dev {self.interface}")

    def wait_until_usable(self):
        """The router has answered (ARP). The system asks once a second, and its first question is often
        lost while the router's end comes up; packets wait until then, whoever sends them."""
        neighbour = inside(self.peer, "ip", "neigh", "show", "to", self.gateway, "dev", self.interface)
        while "lladdr" not in run(*neighbour):
            time.sleep(0.005)

    def renumber(self, last):
        """The client gets another address in the same network."""
        head = self.address.rsplit(".", 1)[0]
        ip(self.peer, f"addr flush dev {self.interface}")
        self.address = f"{head}.{last}"
        self.plug()

    def link(self, direction="both", **settings):
        """Sets delay, jitter, loss, burst, rate, queue or outage of this uplink's link."""
        words = " ".join(f"{key}={value}" for key, value in settings.items())
        self.lab.tell_links(f"{self.router} {direction} {words}")

    def counters(self):
        return json.loads(self.lab.tell_links(f"{self.router} stats"))

    def public(self):
        """The address that others see."""
        return self.address if self.nat == "none" else self.wan


def forward(namespace):
    run(*inside(namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"))


class Lab:
    """A whole lab. `nats`: per peer the NAT of each uplink, e.g. {"a": ["symmetric"], "b": ["cone", "none"]}."""

    def __init__(self, programs, nats, round_trip=0, families=(4,)):
        self.programs, self.families = Path(programs), families
        self.namespaces = ["net", "server", *nats]
        self.uplinks = {peer: [Uplink(self, peer, n + 1, nat) for n, nat in enumerate(kinds)]
                        for peer, kinds in nats.items()}
        self.everything = [uplink for uplinks in self.uplinks.values() for uplink in uplinks]
        self.links = None
        try:
            self.build()
            self.round_trip(round_trip)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def build(self):
        for namespace in self.namespaces:
            run("ip", "netns", "add", namespace)
            ip(namespace, "link set lo up")
        self.links = subprocess.Popen([self.programs / "examples/link", *(u.router for u in self.everything if not u.shared)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.links.stdout.readline() != "ready\n":
            raise RuntimeError("the links could not be made")
        ip("net", "link add server type veth peer name eth0 netns server", "link set server up",
           "addr add 203.0.113.1/24 dev server", "addr add 2001:db8:f::1/64 dev server nodad")
        ip("server", "link set eth0 up", *[f"addr add {address}/24 dev eth0" for address in (SERVER, COTURN, STUN)],
           f"addr add {SERVER6}/64 dev eth0 nodad", "route add default via 203.0.113.1",
           "route add ::/0 via 2001:db8:f::1")
        forward("net")
        for uplink in self.everything:
            uplink.build()
            if uplink.number == 1:
                uplink.plug()

    def tell_links(self, line):
        self.links.stdin.write(line + "\n")
        self.links.stdin.flush()
        answer = self.links.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"link: {line}: {answer or 'it is gone'}")
        return answer

    def round_trip(self, ms):
        """Sets the round trip between the peers; to the server it is half of it."""
        for uplink in self.everything:
            if not uplink.shared:
                uplink.link(delay=ms / 4)

    def block(self, rules):
        """Loads rules into the internet between all, after those of the last time are gone."""
        run(*inside("net", "nft", "flush", "ruleset"))
        if rules:
            run(*inside("net", "nft", "-f", "-"), input="table inet blocks {\n  chain forward {\n"
                f"    type filter hook forward priority filter; policy accept;\n    {rules}\n  }}\n}}\n")

    def proxy(self, peer):
        """What leads out for this peer, if nothing else does."""
        found = next((uplink for uplink in self.uplinks[peer] if uplink.proxy), None)
        return f"http://{found.gateway}:{PROXY_PORT}" if found else None

    def close(self):
        for process in (self.links, *(uplink.proxy for uplink in self.everything)):
            if process:
                process.kill()
                process.wait()
        routers = [uplink.router for uplink in self.everything]
        for namespace in [*self.namespaces, *routers]:
            subprocess.run(["ip", "netns", "delete", namespace], stderr=subprocess.DEVNULL, check=False)
