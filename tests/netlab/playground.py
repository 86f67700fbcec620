"""A lab that stays, for people: up, commands to it, programs inside it, down."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from call import Server
from lab import Lab

FOLDER = Path(f"/tmp/sightline-netlab-{os.environ.get('NETLAB_USER', os.getuid())}")
DOOR, PID, LOG = FOLDER / "door", FOLDER / "pid", FOLDER / "log"


def up(arguments):
    """Starts a lab in the background and says how to use it."""
    if is_up():
        raise SystemExit("a lab is up already; tests/netlab/run down ends it")
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    DOOR.unlink(missing_ok=True)
    with open(LOG, "w", encoding="utf-8") as log:
        holder = subprocess.Popen([sys.executable, sys.argv[0], "hold", *arguments], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log, start_new_session=True,
                                  env={**os.environ, "NETLAB_USER": str(os.getuid())})
    PID.write_text(str(holder.pid))
    while not DOOR.exists():
        if holder.poll() is not None:
            raise SystemExit(f"the lab did not come up:\n{LOG.read_text()}")
        time.sleep(0.05)
    print(ask("where"))


def hold(programs, nats):
    """The lab itself: holds it, and does what it is told through the door."""
    with Lab(programs, {"a": [nats[0], "restricted"], "b": [nats[1], "restricted"]}, 20) as lab:
        with Server(lab, FOLDER / "server") as server, socket.socket(socket.AF_UNIX) as door:
            door.bind(str(DOOR))
            door.listen()
            while True:
                with door.accept()[0] as visitor:
                    try:
                        answer = obey(lab, server, visitor.makefile().readline().split())
                    except (RuntimeError, LookupError, TypeError, ValueError) as error:
                        answer = f"error: {error}"
                    visitor.sendall(answer.encode())


def obey(lab, server, words):
    """One command of a visitor."""
    uplinks = {uplink.router: uplink for uplink in lab.everything}
    match words:
        case ["where"]:
            flags = " ".join(map(str, server.probe_flags()))
            return ("a and b are the clients, a1 a2 b1 b2 their routers, the server is in server. For example:\n"
                    f"  tests/netlab/run in b sightline probe {flags} --room lab-room-1 --role callee --out /tmp/b\n"
                    f"  tests/netlab/run in a sightline probe {flags} --room lab-room-1 --role caller --out /tmp/a\n"
                    "  tests/netlab/run do link a1 both delay=50 loss=2\n"
                    "  tests/netlab/run do plug a2")
        case ["link", router, *rest]:
            return lab.tell_links(" ".join([router, *rest]))
        case ["nat", router, kind]:
            uplinks[router].set_nat(kind)
        case ["plug", router]:
            uplinks[router].plug()
        case ["unplug", router]:
            uplinks[router].unplug()
        case _:
            return "error: link ROUTER …, nat ROUTER KIND, plug ROUTER, unplug ROUTER"
    return "ok"


def ask(line):
    """Tells the lab that is up."""
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(str(DOOR))
        except OSError:
            raise SystemExit("no lab is up; tests/netlab/run up starts one") from None
        door.sendall(line.encode() + b"\n")
        return door.makefile().read()


def go_in(namespace, command):
    """Becomes a program inside the lab."""
    if not is_up():
        raise SystemExit("no lab is up; tests/netlab/run up starts one")
    first = Path(f"/proc/{PID.read_text()}/task/{PID.read_text()}/children").read_text().split()[0]
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    os.execvp("nsenter", ["nsenter", "--target", first, *user, "--mount", "--net", "--pid", "--",
                          "ip", "netns", "exec", namespace, *command])


def is_up():
    if not PID.exists():
        return False
    try:
        return b"hold" in Path(f"/proc/{PID.read_text()}/cmdline").read_bytes()
    except OSError:
        return False


def down():
    """Ends the lab; everything in it goes with its first process."""
    if is_up():
        os.kill(int(PID.read_text()), signal.SIGKILL)
    shutil.rmtree(FOLDER, ignore_errors=True)
