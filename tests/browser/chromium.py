"""Chromium, as tests drive it."""

import fcntl
import json
import os
import select
import subprocess
import time

import dump


class Browser:
    """Chromium without a window, told what to do through its debugging pipe (JSON that ends with a zero)."""

    def __init__(self, work, errors, patience):
        self.work, self.rest, self.number, self.patience = work, b"", 0, patience
        theirs_in, self.into = os.pipe()
        self.out, theirs_out = os.pipe()

        def ends():
            # The pipe is 3 and 4; above them first, since they may be one another's.
            high = [fcntl.fcntl(end, fcntl.F_DUPFD, 64) for end in (theirs_in, theirs_out)]
            for end, number in zip(high, (3, 4)):
                os.dup2(end, number)

        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                     "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                     "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe",
                     f"--user-data-dir={work / 'profile'}", "about:blank"]
        self.process = subprocess.Popen([os.environ["BROWSER"], *arguments], preexec_fn=ends, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=errors,
                                        env=dict(os.environ, HOME=str(work)))
        os.close(theirs_in)
        os.close(theirs_out)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.into, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def message(self):
        until = time.monotonic() + self.patience
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.out], [], [], max(0, until - time.monotonic()))
            more = os.read(self.out, 1 << 16) if ready else b""
            assert more, "the browser does not answer"
            self.rest += more
        line, self.rest = self.rest.split(b"\0", 1)
        return json.loads(line)

    def tab(self, url):
        target = self.call("Target.createTarget", url=url)["targetId"]
        return self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def dump(self, internals):
        """What `chrome://webrtc-internals` in that tab writes when asked."""
        folder = self.work / "dump"
        folder.mkdir()
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        click = "document.getElementById('dump-click-target').click()"
        self.call("Runtime.evaluate", internals, expression=click, userGesture=True)
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            for path in folder.iterdir():
                if path.suffix != ".crdownload":
                    return dump.read(path)
            time.sleep(0.1)
        raise AssertionError("no dump from chrome://webrtc-internals")
