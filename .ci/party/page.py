"""Headless Chromium over its DevTools protocol, through a pair of pipes: pages that are clicked, typed into and touched."""

import base64
import fcntl
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

WAIT = 60
# Tabs that nobody looks at go on playing.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--remote-debugging-pipe",
]


def program():
    return next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


class Browser:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="party-")
        commands, self.commands = os.pipe()
        self.told, answers = os.pipe()
        # Out of the way of those that it takes over: 3 and 4.
        inner = [fcntl.fcntl(it, fcntl.F_DUPFD, 10) for it in (commands, answers)]
        script = f'exec "$@" 3<&{inner[0]} 4>&{inner[1]}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", program(), *FLAGS, f"--user-data-dir={self.home}/profile", "about:blank"],
            pass_fds=inner, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self.home}, start_new_session=True,
        )
        for it in (commands, answers, *inner):
            os.close(it)
        self.asked, self.waiting, self.tabs, self.lock = 0, {}, {}, threading.Lock()
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        rest = b""
        while chunk := os.read(self.told, 1 << 16):
            *whole, rest = (rest + chunk).split(b"\0")
            for message in map(json.loads, whole):
                if "id" in message:
                    if waiting := self.waiting.pop(message["id"], None):
                        waiting.put(message)
                elif tab := self.tabs.get(message.get("sessionId")):
                    tab.event(message["method"], message["params"])

    def call(self, method, session=None, answered=True, **params):
        answer = queue.Queue()
        with self.lock:
            self.asked += 1
            self.waiting[self.asked] = answer
            question = {"id": self.asked, "method": method, "params": params}
            if session:
                question["sessionId"] = session
            os.write(self.commands, json.dumps(question).encode() + b"\0")
        if not answered:
            return None
        told = answer.get(timeout=WAIT)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']}")
        return told["result"]

    def close(self):
        os.killpg(self.process.pid, 9)
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


class Tab:
    """A page. `heard` is given the lines that it tells by `tell(line)`, a function that `script` may use."""

    def __init__(self, browser, script, heard):
        self.browser, self.heard, self.complaints, self.crashed = browser, heard, [], threading.Event()
        self.target = browser.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.tabs[self.session] = self
        for domain in ("Page", "Runtime", "Log", "Inspector"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.call("Runtime.addBinding", name="tell")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def event(self, method, params):
        if method == "Runtime.bindingCalled":
            self.heard(params["payload"])
        elif method == "Inspector.targetCrashed":
            self.crashed.set()
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(json.dumps(params["entry"]))

    def open(self, url):
        self.call("Page.navigate", url=url)

    def crash(self):
        """Kills it; the dead do not answer."""
        self.browser.call("Page.crash", self.session, answered=False)

    def eval(self, expression):
        told = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def until(self, expression):
        deadline = time.monotonic() + WAIT
        while True:
            try:
                if self.eval(f"Boolean({expression})"):
                    return
            except RuntimeError:
                # On its way from one page to another.
                pass
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)

    def size(self, width, height, scale=1, mobile=False):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile, maxTouchPoints=5)

    def place(self, selector):
        """The middle of an element."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        return self.eval(f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({box})")

    def click(self, selector):
        x, y = self.place(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, selector):
        x, y = self.place(selector)
        self.touch("touchStart", {0: (x, y)})
        self.touch("touchEnd", {})

    def touch(self, kind, points):
        """All fingers that are down: their numbers, and where they are."""
        fingers = [{"x": x, "y": y, "id": finger} for finger, (x, y) in points.items()]
        self.call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    def key(self, kind, key):
        self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def shot(self, path):
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(picture))
