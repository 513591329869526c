"""A page in a headless Chromium, driven through its own protocol: keys and text as a person gives them."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

STARTS = 120
"""Seconds for the browser to open, on a busy computer."""

SIZE = (1400, 860)
CONTROL = 2
KEYS = {
    "Enter": ("Enter", 13),
    "End": ("End", 35),
    "`": ("Backquote", 192),
    "p": ("KeyP", 80),
    "s": ("KeyS", 83),
}
"""How a keyboard names them, and their old numbers."""


class Page:
    """What a person does with a page, and sees of it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.calls = 0
        self.events: list[dict[str, Any]] = []
        """What the browser has told by itself, of the domains that were enabled."""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(timeout=60))
            if answer.get("id") == self.calls:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def find(self, script: str) -> Any:
        """What an expression of the page's own language comes to."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 120) -> None:
        """Returns once the expression is true."""
        deadline = time.monotonic() + seconds
        while not self.find(f"!!({script})"):
            assert time.monotonic() < deadline, f"{script} did not come; the page says: {self.text()[-600:]}"
            time.sleep(0.2)  # between two looks at the condition

    def shows(self, label: str, within: str, seconds: float = 120) -> None:
        """Returns once a list shows this label."""
        every = f"[...document.querySelectorAll({json.dumps(f'{within} .label-name')})]"
        self.wait(f"{every}.some(one => one.innerText === {json.dumps(label)})", seconds)

    def has_focus(self, what: str) -> None:
        """Returns once what is typed goes there."""
        self.wait(f"document.activeElement && document.activeElement.matches({json.dumps(what)})")

    def text(self) -> str:
        return str(self.find("document.body ? document.body.innerText : ''"))

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefers(self, scheme: str) -> None:
        """The reader's system is light or dark from now on."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def press(self, key: str, held: int = 0) -> None:
        """One key, with what is held down meanwhile."""
        code, number = KEYS[key]
        about = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": held}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def paste(self, text: str) -> None:
        """Text as one piece, so that nothing completes it on the way."""
        self.call("Input.insertText", text=text)

    def type(self, text: str) -> None:
        for sign in text:
            self.call("Input.dispatchKeyEvent", type="keyDown", text=sign, key=sign)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=sign)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(image: str, port: int) -> Iterator[Page]:
    """A page of a browser in a container with this computer's loopback, where the forwards are."""
    name = f"hangar-test-browser-{port}"
    width, height = SIZE
    argv = [
        "docker", "run", "--rm", "--name", name, "--network", "host", "--shm-size", "1g",
        "--entrypoint", "chromium", image,
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir=/tmp/profile",
        f"--window-size={width},{height}",
        "--remote-debugging-address=127.0.0.1", f"--remote-debugging-port={port}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_page(port, process), max_size=None) as socket:
            page = Page(socket)
            page.call("Page.enable")
            page.size(width, height)
            yield page
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
        process.wait(timeout=60)


def _page(port: int, process: subprocess.Popen[bytes]) -> str:
    """The address at which the browser's page takes orders."""
    deadline = time.monotonic() + STARTS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        except OSError:
            assert process.poll() is None, "the browser ended"
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.2)  # between two looks at the condition
