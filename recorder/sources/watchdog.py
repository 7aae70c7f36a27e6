"""Tells a server that is silent because nothing changes from one that hangs, within ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from recorder.errors import SourceLost
from recorder.silence import UNWATCHED

QUIET = 3.0  # seconds of silence after which the server is asked for something
ANSWER = 3.5  # seconds that it has for that


class Watchdog:
    """Call `look` often. `nudge` makes the server send something, `is_answering` asks it in another way.

    A server that never answered a nudge may be one that ignores them: it is lost only when it does not
    answer the other way either.
    """

    def __init__(self, name: str, *, nudge: Callable[[], None], is_answering: Callable[[], bool]) -> None:
        self._name, self._nudge, self._is_answering = name, nudge, is_answering
        self._heard = self._looked = time.monotonic()
        self._nudged: float | None = None
        self._answers = False

    def look(self, *, heard: bool) -> None:
        """Note whether something came from the server just now; `SourceLost` when it hangs."""
        now = time.monotonic()
        if heard or now - self._looked > UNWATCHED:
            self._answers = self._answers or (heard and self._nudged is not None)
            self._heard, self._nudged = now, None
        elif self._nudged is None:
            if now - self._heard >= QUIET:
                self._nudge()
                self._nudged = now
        elif now - self._nudged >= ANSWER:
            self._judge(now)
        self._looked = now

    def _judge(self, now: float) -> None:
        if self._answers or not self._is_answering():
            raise fell_silent(self._name, heard=self._heard)
        self._heard, self._nudged = now, None


def fell_silent(name: str, *, heard: float) -> SourceLost:
    """What is raised about a server that was last heard at this time of CLOCK_MONOTONIC, seconds."""
    silent = time.monotonic() - heard
    reason = f"{name} hangs or is cut off: it did not answer for {silent:.0f} s."
    return SourceLost(reason, heard_ns=int(heard * 1_000_000_000))
