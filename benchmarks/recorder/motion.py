"""`python -m benchmarks.recorder.motion DISPLAY WIDTH HEIGHT RATE`: the whole screen moves, until killed.

At SIGUSR1 it goes to the next of a few places, moves for a second more and stops there until SIGCONT. These
are the same in every run: recorders are compared by the same pictures, which come after the same ones.
`... paint DISPLAY COUNT` paints a small square in a colour that says its number, at irregular times, and
prints number and CLOCK_MONOTONIC nanoseconds for each.
"""

import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import xcffib
import xcffib.xproto

STRIP = 32
SQUARE = 16
PAUSES = (0.12, 0.4)
HELD = (700, 1911, 3322)  # even and odd places, near and far


def main(arguments: list[str]) -> None:
    """Move or paint."""
    if arguments[0] == "paint":
        paint(arguments[1], int(arguments[2]))
    else:
        move(arguments[0], int(arguments[1]), int(arguments[2]), int(arguments[3]))


def move(display: str, width: int, height: int, rate: int) -> None:
    """Pan over a larger picture; the server copies, so that drawing costs next to nothing here."""
    x, root, brush = _open(display)
    far = width // 4, height // 4
    picture = x.generate_id()
    x.core.CreatePixmap(24, picture, root, width + far[0], height + far[1])
    _fill(x, picture, brush, size=(width + far[0], height + far[1]))
    due, places = time.monotonic(), _Places(rate)
    for number in places:
        left = int(far[0] * (0.5 + 0.5 * np.sin(number / 23)))
        top = int(far[1] * (0.5 + 0.5 * np.cos(number / 31)))
        x.core.CopyArea(picture, root, brush, left, top, 0, 0, width, height)
        x.core.GetInputFocus().reply()
        due += 1 / rate
        time.sleep(max(0, due - time.monotonic()))
        if places.is_held:
            os.kill(os.getpid(), signal.SIGSTOP)
            due = time.monotonic()


class _Places:
    """Numbers from 1 on; after SIGUSR1 those of the second up to the next of `HELD`."""

    def __init__(self, rate: int) -> None:
        self._rate, self._number, self._end = rate, 0, 0
        self._ends = itertools.cycle(HELD)
        signal.signal(signal.SIGUSR1, self._hold)

    def __iter__(self) -> Iterator[int]:
        while True:
            self._number += 1
            yield self._number

    @property
    def is_held(self) -> bool:
        """Whether the last number was one to stop at."""
        return self._number == self._end

    def _hold(self, *_: object) -> None:
        self._end = next(self._ends)
        self._number = self._end - self._rate


def paint(display: str, count: int) -> None:
    """One square after another."""
    x, root, brush = _open(display)
    square = xcffib.xproto.RECTANGLE.synthetic(0, 0, SQUARE, SQUARE)
    for number in range(1, count + 1):
        time.sleep(random.uniform(*PAUSES))
        x.core.ChangeGC(brush, xcffib.xproto.GC.Foreground, [number])
        x.core.PolyFillRectangle(root, brush, 1, [square])
        x.core.GetInputFocus().reply()
        print(number, time.monotonic_ns(), flush=True)


def _open(display: str) -> tuple[Any, int, int]:
    dial: Any = xcffib.Connection
    x = dial(display=display)
    root, brush = x.get_setup().roots[0].root, x.generate_id()
    mode = xcffib.xproto.SubwindowMode.IncludeInferiors
    x.core.CreateGC(brush, root, xcffib.xproto.GC.SubwindowMode, [mode])
    return x, root, brush


def _fill(x: Any, picture: int, brush: int, *, size: tuple[int, int]) -> None:
    """Soft clouds with hard edges in them: between a photograph and a desktop."""
    width, height = size
    source = np.random.default_rng(4711)
    coarse = source.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3)).astype(np.float32)
    clouds = coarse.repeat(40, 0).repeat(40, 1)[:height, :width]
    for _ in range(2):
        clouds = (clouds + np.roll(clouds, 13, 0) + np.roll(clouds, 13, 1)) / 3
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[..., :3] = clouds + source.integers(-6, 7, (height, width, 1))
    pixels[::27, :, :3] = 30
    for top in range(0, height, STRIP):
        rows = pixels[top : top + STRIP]
        z_pixmap = xcffib.xproto.ImageFormat.ZPixmap
        content = rows.tobytes()
        x.core.PutImage(
            z_pixmap, picture, brush, width, len(rows), 0, top, 0, 24, len(content), content, is_checked=True
        ).check()


if __name__ == "__main__":
    main(sys.argv[1:])
