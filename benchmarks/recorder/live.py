"""How far a viewer in a browser is behind a running session: read from the clock in the picture it shows.

The whole stack runs (`manage.py run`, with its workers and Redis); a synthetic desktop with a clock is
recorded in segments of 4 s; headless Chromium plays it. What the video shows is compared with the desktop
drawn for each tenth of a second, so the player's own idea of its place is not asked.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from recorder.sources.desktop import Desktop

from ..home import premises

SIZE = 1280, 720
CLOCK = 780, 130, 430, 70  # left, top, width, height of what the clock is drawn on at this size
EVERY = 0.5
PASSWORD = "of this benchmark only"  # noqa: S105 -- nobody else can reach it
PICTURE = """([left, top, width, height]) => {
  const video = document.querySelector("video"), canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  return Array.from(context.getImageData(left, top, width, height).data.filter((_, at) => at % 4 === 1));
}"""


def lags(*, seconds: float) -> list[float]:
    """Seconds behind, each half second while it is followed."""
    with premises(), _stack() as address:
        from lucid_sessions.access.models import User
        from lucid_sessions.recordings import sessions
        from lucid_sessions.recordings.models import Chunk

        user = User.objects.create_superuser(username="viewer", password=PASSWORD)
        config = {"frame_rate": 15, "resolution": "{}x{}".format(*SIZE)}
        session = sessions.start(
            sessions.create("synthetic://", name="live", owner=user, recording_config=config)
        )
        chunks = Chunk.objects.filter(session=session, track="screen", state="anchored")
        _until(lambda: chunks.count() >= 3)
        first = chunks.order_by("sequence").first()
        assert first is not None
        origin = first.timestamp_ms / 1000 - first.start_us / 1e6
        with _browser() as page:
            _play(page, f"{address}/sessions/{session.pk}/")
            found = list(_watched(page, origin, seconds=seconds))
        sessions.stop(session)
        return found


def _watched(page: Any, origin: float, *, seconds: float) -> Iterator[float]:
    until = time.monotonic() + seconds
    clock = _Clock()
    while time.monotonic() < until:
        now = time.time() - origin
        pixels = page.evaluate(PICTURE, list(CLOCK))
        now = (now + time.time() - origin) / 2
        yield now - clock.read(np.array(pixels, np.float32), before=now)
        time.sleep(EVERY)


class _Clock:
    """Reads the drawn clock by drawing it again."""

    def __init__(self) -> None:
        self._desktop = Desktop(*SIZE)
        self._drawn: dict[int, Any] = {}

    def read(self, green: Any, *, before: float) -> float:
        """The time that is shown, to a tenth of a second; not later than `before`."""
        newest = int(before * 10)
        tenths = range(max(0, newest - 300), newest + 1)
        return min(tenths, key=lambda tenth: float(np.abs(self._at(tenth) - green).mean())) / 10

    def _at(self, tenth: int) -> Any:
        if tenth not in self._drawn:
            left, top, width, height = CLOCK
            picture = self._desktop.draw(tenth * 100_000, frame=0)
            part = picture[top : top + height, left : left + width, 1]
            self._drawn[tenth] = part.astype(np.float32).ravel()
        return self._drawn[tenth]


def _play(page: Any, address: str) -> None:
    page.goto(address)
    page.get_by_label("User name").fill("viewer")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Play", exact=True).click()
    _until(lambda: page.evaluate("document.querySelector('video').currentTime") > 0)
    time.sleep(10)  # until the player knows how late segments come


@contextmanager
def _stack() -> Iterator[str]:
    import django

    django.setup()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "manage.py", "run", "--port", str(port)]
    stack = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        _until(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        stack.terminate()
        stack.wait(60)


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # its loop runs in this thread
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=quiet)
        yield browser.new_page()
        browser.close()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(happened: Any) -> None:
    limit = time.monotonic() + 120
    while not happened():
        if time.monotonic() > limit:
            raise SystemExit("The stack, or the recording, did not begin within two minutes.")
        time.sleep(0.1)
