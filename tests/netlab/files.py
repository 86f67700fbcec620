"""A file on its way while the network goes away, and while a process is killed: what arrives is what was sent."""
import hashlib
import random
import time

from call import Call, Failed, Server, wait_for
from lab import Lab

ROUND_TRIP, RATE = 20, 20_000
MEGABYTES = 30
# A path that is silent for so long has been given up by both sides; another one is built.
LONG = 40


def now():
    return time.time() * 1e3


class Transfer:
    """A file that the caller sends the callee, whose disk is looked at."""

    def __init__(self, call, path):
        self.call, self.path = call, path
        self.before = set(self.parts())
        self.began = now()
        if call.caller.process.poll() is not None:
            raise Failed(f"the sender has ended: {call.caller.complaint()}")
        call.caller.say(f"send {path}")

    def parts(self):
        return (self.call.callee.out / "files").glob(".*.sightline-part")

    def there(self):
        """Bytes of it on the callee's disk, under the temporary name."""
        part = next((part for part in self.parts() if part not in self.before), None)
        return part.stat().st_size if part else 0

    def wait_for_part(self):
        """Waits until a third of it is there."""
        wait_for("a third of the file", lambda: self.there() > self.path.stat().st_size / 3)
        return self.there()

    def goes_on(self, since):
        """Milliseconds from then on until more of it is there."""
        before = self.there()
        wait_for("more of the file", lambda: self.there() > before or self.told("done"), 60)
        return now() - since

    def told(self, state):
        events = self.call.callee.events()
        return next((e for e in events if e["ev"] == "file" and e["name"] == self.path.name and e["state"] == state), None)

    def whole(self):
        """Waits until all of it has arrived and compares it; how long it took, in ms."""
        done = wait_for("all of the file", lambda: self.told("done") or self.told("ended"), 120)
        if done["state"] != "done":
            raise Failed(f"it ended: {done['reason']}")
        if digest(done["path"]) != digest(self.path):
            raise Failed("another file arrived")
        return done["t"] - self.began


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(folder, name, seed):
    path = folder / name
    path.write_bytes(random.Random(seed).randbytes(MEGABYTES * 1_000_000))
    return path


class Scene:
    """Two who are in a call over a link of some Mbit/s."""

    def __init__(self, programs, folder):
        self.folder = folder
        self.lab = Lab(programs, {"a": ["restricted"], "b": ["restricted"]}, ROUND_TRIP)
        self.link = self.lab.uplinks["a"][0].link
        self.link(rate=RATE, queue=RATE * 5)
        self.server = Server(self.lab, folder / "server")
        self.call = self.meet()

    def meet(self):
        call = Call(self.server, more=("--size", "640x360"), folder=self.folder / "call")
        call.call()
        time.sleep(3)
        return call

    def again(self):
        """The sender is dead; both begin anew. The server keeps the place of somebody who vanished."""
        self.call.caller.kill()
        self.call.callee.hang_up()
        self.server.kill()
        self.server.restart()
        # Or what was said the first time is taken for the second.
        for side in self.call.sides:
            (side.out / "events.jsonl").unlink()
        self.call = self.meet()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in (self.call, self.server, self.lab):
            part.__exit__()


def outage(scene, path, seconds):
    """The link carries nothing for some seconds; the row of the table."""
    transfer = Transfer(scene.call, path)
    kept = transfer.wait_for_part()
    scene.link(outage="on")
    time.sleep(seconds)
    scene.link(outage="off")
    waited = transfer.goes_on(now())
    return kept, waited, transfer.whole()


def killed(scene, path):
    """The sender's process is killed, and the file is sent again."""
    kept = Transfer(scene.call, path).wait_for_part()
    scene.again()
    transfer = Transfer(scene.call, path)
    begun = wait_for("the rest", lambda: transfer.told("moving") or transfer.told("checking"))
    if begun["moved"] < kept:
        raise Failed(f"it began at {begun['moved']} of {kept} bytes that were there")
    return begun["moved"], begun["t"] - transfer.began, transfer.whole()


STEPS = [
    ("nothing happens", lambda scene, path: (0, 0, Transfer(scene.call, path).whole())),
    ("no link for 5 s", lambda scene, path: outage(scene, path, 5)),
    (f"no link for {LONG} s", lambda scene, path: outage(scene, path, LONG)),
    ("the sender is killed, and sends again", killed),
]


def files(tests, programs, folder, _words=()):
    """The table; all in one scene."""
    folder = folder / "files"
    folder.mkdir()
    print(f"\n{MEGABYTES} MB during a call, {RATE / 1000:.0f} Mbit/s, {ROUND_TRIP} ms round trip; compared by SHA-256")
    print(f"{'what happens':42}{'there before':>14}{'goes on after':>15}{'all after':>11}")
    with Scene(programs, folder) as scene:
        for number, (name, step) in enumerate(STEPS):
            done = tests.try_out(f"a file, {name}", lambda: step(scene, make(folder, f"{number}.bin", number)))
            if done:
                kept, waited, whole = done
                print(f"{name:42}{kept / 1e6:>11.1f} MB{waited:>12.0f} ms{whole / 1e3:>9.1f} s", flush=True)
