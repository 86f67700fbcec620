"""Shares a screen with sound with a page in a browser, and listens to what the browser plays."""

import math
import os
import pathlib
import queue
import struct
import sys
import tempfile
import time
import wave

from ear import Ear
from room import PATIENCE, Room

# What the screen plays, on its left; the probe's voice.
HZ, LOUD, VOICE_HZ = 2000, 0.3, 440


def write_left(path):
    """A second of it."""
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 48000, 48000, "NONE", ""))
        tone = [round(LOUD * 32767 * math.sin(math.tau * HZ * n / 48000)) for n in range(48000)]
        file.writeframes(b"".join(struct.pack("<hh", sample, 0) for sample in tone))


def wait(room, ear, what, holds):
    """The first report of which that is true."""
    until = time.monotonic() + PATIENCE / 2
    while True:
        report = room.report("shown")
        report["screen"], report["voice"] = ear.hears(HZ), ear.hears(VOICE_HZ)
        if holds(report):
            return report
        del report["objects"]
        assert time.monotonic() < until, f"no {what}: {report}"


def is_heard(report):
    left, right = report["screen"]
    return report["kinds"] == ["audio", "video"] and left > LOUD * 0.9 and right < LOUD / 100


def is_silent(report):
    return max(report["screen"]) < LOUD / 1000


def of_screen(report, kind):
    found = [entry for entry in report["objects"] if entry["type"] == "inbound-rtp" and entry["kind"] == kind]
    return next(entry for entry in found if entry["trackIdentifier"].startswith("screen"))


def apart(report):
    """How far the sound is before the picture in ms; nothing for what the browser does not keep in step."""
    plays = [of_screen(report, kind).get("estimatedPlayoutTimestamp") for kind in ("audio", "video")]
    return None if None in plays else plays[0] - plays[1]


def listen(room, ear):
    room.visit("listen")
    room.say("share pattern:640x360 motion sound")
    report = wait(room, ear, "sound of the screen on its left alone", is_heard)
    print("the browser plays {:.4f} on the left, {:.6f} on the right".format(*report["screen"]))
    middle = wait(room, ear, "voice in the middle", lambda now: min(now["voice"]) > 0.05)["voice"]
    assert abs(middle[0] - middle[1]) < 0.01, f"the voice is on one side: {middle}"
    room.say("sound off")
    off = wait(room, ear, "end of the sound", is_silent)
    later = wait(room, ear, "picture without sound", lambda now: now["pictures"] > off["pictures"] + 10)
    assert later["kinds"] == ["video"], later["kinds"]
    room.say("sound on")
    wait(room, ear, "sound again", is_heard)
    report = wait(room, ear, "picture in step with its sound", lambda now: apart(now) is not None)
    print(f"picture and sound are {apart(report):.0f} ms apart")
    room.say("unshare")
    wait(room, ear, "end of the screen", lambda now: is_silent(now) and not now["kinds"])
    wait(room, ear, "voice that goes on", lambda now: min(now["voice"]) > 0.05)
    room.say("hangup")
    assert room.probe.wait(PATIENCE) == 0, "the probe fails"
    print("browser: a screen is heard in stereo, switched off and on, and ends")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_left(folder / "left.wav")
        with Ear(folder) as ear:
            os.environ["PULSE_SERVER"] = ear.environment["PULSE_SERVER"]
            with Room("--size", "320x180", "--share-sound", folder / "left.wav") as room:
                listen(room, ear)


try:
    main()
except (AssertionError, queue.Empty) as error:
    sys.exit(f"browser: {str(error) or 'the page said nothing'}")
