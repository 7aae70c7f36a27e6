"""Desktops on which nothing happens, recorded beside everything else for as long as a drawn-out segment."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from recorder.settings import Settings

from ..figures import Figure
from .recorders import Running, ours
from .scenes import desktop


class Quiet:
    """Records from its making on; `figures` waits until a segment has lasted as long as it may.

    The bytes are those of a drawn-out segment by itself: what an hour of nothing consists of.
    """

    def __init__(self, home: Path, *, settings: Settings, scenes: Sequence[str]) -> None:
        self._stack = ExitStack()
        self._seconds = (settings.quiet_segment_seconds or 0) + settings.segment_seconds
        self._running: dict[str, Running] = {}
        for scene in scenes:
            shown = self._stack.enter_context(desktop(scene))
            self._running[scene] = self._stack.enter_context(ours(shown, home, settings=settings))

    def figures(self, most: Mapping[str, float]) -> Iterator[Figure]:
        """Megabytes an hour; `most` are the targets."""
        rest = max(one.began for one in self._running.values()) + self._seconds - 1 - time.time()
        time.sleep(max(0.0, rest))
        self.close()
        for scene, running in self._running.items():
            longest, size = max(running.stretches, default=(0.0, 0))
            value = size * 3600 / longest / 1e6 if longest else 0.0
            what = f"{scene}, in the longest segment ({longest:.0f} s): MB an hour"
            yield Figure(what, f"{value:,.1f}", f"<= {most[scene]:g}", 0 < value <= most[scene])

    def close(self) -> None:
        """End it."""
        self._stack.close()
