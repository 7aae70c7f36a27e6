"""X servers and the programs on them, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xcffib
import xcffib.randr
import xcffib.xproto

from tests.programs import needed


class Display:
    """An X server of this test's own."""

    def __init__(self, *options: str) -> None:
        reading, writing = os.pipe()
        argv = [needed("Xvfb"), "-displayfd", str(writing), "-nolisten", "tcp", "-noreset"]
        # No key repeats by itself: whoever presses one may be off the processor before he lets go of it.
        argv += ["-r", *options]
        self.server = subprocess.Popen(argv, pass_fds=[writing], stderr=subprocess.DEVNULL)
        os.close(writing)
        with os.fdopen(reading) as answer:
            self.name = f":{answer.readline().strip()}"

    def run(self, program: str, *arguments: str) -> None:
        argv = [needed(program), *arguments]
        subprocess.run(argv, env={**os.environ, "DISPLAY": self.name}, check=True, capture_output=True)

    def ask(self, program: str, *arguments: str) -> str:
        environment = {**os.environ, "DISPLAY": self.name}
        argv = [needed(program), *arguments]
        return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout

    def start(self, *argv: str, cwd: Path | None = None, **more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [needed(argv[0]), *argv[1:]],
            cwd=cwd,
            env={**os.environ, "DISPLAY": self.name, **more},
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def resize(self, width: int, height: int) -> None:
        connection = xcffib.Connection(display=self.name)
        randr = connection(xcffib.randr.key)
        randr.QueryVersion(1, 5).reply()
        root = connection.get_setup().roots[0].root
        (crtc,) = randr.GetScreenResourcesCurrent(root).reply().crtcs.list
        randr.SetCrtcConfig(crtc, 0, 0, 0, 0, 0, 1, 0, []).reply()  # a screen in use cannot shrink
        randr.SetScreenSizeChecked(root, width, height, 85, 64).check()
        connection.disconnect()

    def end(self) -> None:
        self.server.send_signal(signal.SIGCONT)
        self.server.kill()
        self.server.wait()


@contextmanager
def display(*options: str) -> Iterator[Display]:
    shown = Display(*(options or ("-screen", "0", "320x240x24")))
    try:
        yield shown
    finally:
        shown.end()


@contextmanager
def program(shown: Display, *argv: str) -> Iterator[None]:
    started = shown.start(*argv)
    try:
        yield
    finally:
        started.kill()
        started.wait()
