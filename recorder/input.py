"""The input track: what is typed, clicked, moved, brought to the front and copied, timed as the screen is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from recorder.clock import Timeline
from recorder.keys import InputPolicy
from recorder.lines import LineTrack
from recorder.take import Take

if TYPE_CHECKING:
    from recorder.samples import Seen

TRACK = "input"
PRESSED = ("key", "button")
DONE_BY_HAND = (*PRESSED, "move")  # titles change, and things are copied, by themselves


class Listener(Protocol):
    """Hears what is done at a desktop, as far as its source can tell.

    `hears` says whose doing that is: `display` (everybody's), `client` (what passes through the recorder's
    own client), `server` (what the server tells its viewers).
    """

    hears: str

    def heard(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """What happened since the last time: CLOCK_MONOTONIC nanoseconds, facts; nearly in order."""
        ...

    def head(self) -> dict[str, Any]:
        """How things stand where a segment begins."""
        ...

    def close(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Stop listening; what was still on its way."""
        ...


class InputTrack:
    """One epoch of what is done at a display."""

    def __init__(
        self, take: Take, *, listener: Listener, policy: InputPolicy, timeline: Timeline, start_us: int
    ) -> None:
        self._listener, self._policy, self._timeline = listener, policy, timeline
        self._lines = LineTrack(take, TRACK, start_us=start_us, head=self._head)
        self.stirred = 0  # how often somebody has used a key, a button or the pointer

    def look(self, now_us: int) -> None:
        """Take in what has happened."""
        self._take_in(self._listener.heard())
        self._lines.settle(now_us)

    def cut(self, at_us: int) -> None:
        """Cut with the screen."""
        self._lines.cut(at_us)

    def shown(self, seen: Seen) -> None:
        """Nothing: what is shown is not what is done."""

    def close(self, end_us: int) -> None:
        """Stop listening and commit; what happened after the end is forgotten."""
        try:
            self._take_in(self._listener.close())
        finally:
            self._lines.close(end_us)

    def give_up(self, at_us: int) -> None:
        """Keep what was heard until now."""
        for _ in self._listener.close():
            pass
        self._lines.give_up(at_us)

    def _take_in(self, facts: Any) -> None:
        for ns, fact in facts:
            self._lines.add((ns - self._timeline.origin_ns) // 1000, fact)
            self.stirred += fact["k"] in DONE_BY_HAND

    def _head(self) -> dict[str, Any]:
        return {"keys": self._policy, "hears": self._listener.hears, **self._listener.head()}


def pressed_in(lines: bytes) -> int:
    """How often a key or a button was pressed, by a segment's lines, which are sound."""
    facts = (json.loads(text) for text in lines.splitlines())
    return sum(1 for fact in facts if fact["k"] in PRESSED and fact.get("down") is True)
