"""A desktop on which nothing happens, recorded beside everything else for as long as a drawn-out segment."""

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from recorder.settings import Settings

from ..figures import Figure
from .recorders import ours
from .scenes import desktop

LONGEST = 300.0


class Quiet:
    """Records from its making on; `figure` waits until the first segment has lasted as long as it may."""

    def __init__(self, home: Path, *, settings: Settings, seconds: float = LONGEST) -> None:
        self._stack, self._seconds = ExitStack(), seconds
        shown = self._stack.enter_context(desktop("wholly idle"))
        drawn_out = replace(settings, quiet_segment_seconds=seconds)
        self._running = self._stack.enter_context(ours(shown, home, settings=drawn_out))

    def figure(self, *, most: float) -> Figure:
        """Megabytes an hour, of one segment's whole length."""
        rest = self._running.began + self._seconds - 1 - time.time()  # before the next one begins
        time.sleep(max(0.0, rest))
        self.close()
        value = self._running.megabytes_an_hour
        what = f"wholly idle, a segment lasts up to {self._seconds:.0f} s: MB an hour"
        return Figure(what, f"{value:,.1f}", f"<= {most:g}", value <= most)

    def close(self) -> None:
        """End it."""
        self._stack.close()
