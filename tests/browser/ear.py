"""What a program plays: a sound server of its own whose loudspeaker is recorded as it plays."""

import array
import math
import os
import subprocess
import threading
import time

RATE, PART = 48000, 4800


class Ear:
    """Two sides of the newest tenth of a second; `with` ends the server."""

    def __init__(self, folder):
        self.socket = folder / "pulse"
        self.environment = dict(os.environ, HOME=str(folder), PULSE_RUNTIME_PATH=str(folder / "run"),
                                PULSE_SERVER=f"unix:{self.socket}")
        self.sides = [[0] * PART] * 2

    def __enter__(self):
        modules = [f"module-null-sink sink_name=ear rate={RATE} channels=2",
                   f"module-native-protocol-unix socket={self.socket} auth-anonymous=1"]
        loads = [word for module in modules for word in ("-L", module)]
        self.server = self.start("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", *loads)
        while not self.socket.exists():
            assert self.server.poll() is None, "the sound server does not start"
            time.sleep(0.05)
        self.recorder = self.start("parec", "-d", "ear.monitor", "--format=s16le", f"--rate={RATE}",
                                   "--channels=2", "--latency-msec=50", stdout=subprocess.PIPE)
        threading.Thread(target=self.listen, daemon=True).start()
        return self

    def __exit__(self, *_):
        for process in (self.recorder, self.server):
            process.terminate()
            process.wait(5)

    def start(self, *command, stdout=subprocess.DEVNULL):
        return subprocess.Popen(command, env=self.environment, stdout=stdout, stderr=subprocess.DEVNULL)

    def listen(self):
        while len(part := self.recorder.stdout.read(PART * 4)) == PART * 4:
            samples = array.array("h", part)
            self.sides = [samples[0::2], samples[1::2]]

    def hears(self, hz):
        """How loud a tone is on the left and on the right; 1 is full scale."""
        return [amplitude(side, hz) for side in self.sides]


def amplitude(samples, hz):
    turn = math.tau * hz / RATE
    re = sum(sample * math.cos(turn * n) for n, sample in enumerate(samples))
    im = sum(sample * math.sin(turn * n) for n, sample in enumerate(samples))
    return 2 * math.hypot(re, im) / len(samples) / 32768
