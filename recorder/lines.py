"""A track of JSON lines: facts go in with their times, whole segments cut at given times come out."""

from __future__ import annotations

import bisect
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from recorder.beside import Beside
from recorder.errors import DiskFull, SpoolUnwritable, Unreadable
from recorder.part import Part
from recorder.take import Take

# Facts reach us a little after they happened, and not quite in order: nothing is written before this.
SETTLED_AFTER_US = 500_000
WRITE_EVERY_US = 1_000_000  # bounds what a crash loses
VERSION = 1
NO_KIND = "is no fact with a kind"
ADVICE = "It is damaged; keep it and look at it, and check the spool's disk."


class LineTrack:
    """One epoch of lines.

    Each segment begins with a line `begin`, ends with a line `end` that counts the kinds in between, and
    holds a line at least each second (`tick` when nothing happened), so that a segment that was cut off by a
    crash says how far it is complete. Times are microseconds on the session's timeline.
    """

    def __init__(self, take: Take, track: str, *, start_us: int, head: Callable[[], dict[str, Any]]) -> None:
        self._take, self._track, self._head = take, track, head
        self._epoch = take.next_epoch(track)
        self._waiting: list[tuple[int, int, dict[str, Any]]] = []
        self._cuts: list[int] = []
        self._added = 0
        self._counts: Counter[str] = Counter()
        self._start_us = self._written_us = start_us
        self._beside = Beside()
        self._part = self._open(start_us)

    def add(self, at_us: int, facts: dict[str, Any]) -> None:
        """Keep a fact; what lies before the segments still open moves to their beginning and says so."""
        if at_us < self._start_us:
            facts, at_us = {**facts, "late_us": self._start_us - at_us}, self._start_us
        self._added += 1
        bisect.insort(self._waiting, (at_us, self._added, facts))

    def cut(self, at_us: int) -> None:
        """A new segment begins at this time; it is cut there once everything before has come in."""
        if at_us > self._start_us:
            self._cuts.append(at_us)

    def settle(self, now_us: int) -> None:
        """Write what has had the time to come in; call it often."""
        self._beside.look()
        horizon = now_us - SETTLED_AFTER_US
        if horizon - self._written_us >= WRITE_EVERY_US or (self._cuts and self._cuts[0] <= horizon):
            self._write_until(horizon)

    def close(self, end_us: int) -> None:
        """End the epoch; what happened later is not recorded."""
        end_us = max(end_us, self._start_us + 1)
        self._write_until(end_us)
        self._commit(end_us)
        self._beside.settle()

    def give_up(self, at_us: int) -> None:
        """Keep what has come in until now; on a disk that takes no more, what is written."""
        try:
            self.close(at_us)
        except (DiskFull, SpoolUnwritable):
            self._part.commit(max(self._written_us, self._start_us + 1))

    def _write_until(self, until_us: int) -> None:
        while self._cuts and self._cuts[0] <= until_us:
            at_us = self._cuts.pop(0)
            self._write(self._take_before(at_us))
            self._commit(at_us)
            self._start_us = self._written_us = at_us
            self._part = self._open(at_us)
        lines = self._take_before(until_us)
        if not lines and until_us - self._written_us >= WRITE_EVERY_US:
            lines = [(until_us, {"k": "tick"})]
        if lines:
            self._write(lines)
            self._written_us = until_us

    def _take_before(self, until_us: int) -> list[tuple[int, dict[str, Any]]]:
        place = bisect.bisect_left(self._waiting, (until_us,))
        taken, self._waiting = self._waiting[:place], self._waiting[place:]
        return [(at_us, facts) for at_us, _, facts in taken]

    def _write(self, lines: list[tuple[int, dict[str, Any]]]) -> None:
        self._counts.update(str(facts["k"]) for _, facts in lines)
        if lines:
            self._part.append(b"".join(line(at_us, **facts) for at_us, facts in lines))

    def _open(self, start_us: int) -> Part:
        name = self._take.next_segment(self._track, epoch=self._epoch, start_us=start_us, extension="jsonl")
        self._counts.clear()
        return Part(self._take, name, init=line(start_us, k="begin", v=VERSION, **self._head()))

    def _commit(self, end_us: int) -> None:
        self._counts.pop("tick", None)
        self._part.append(line(end_us, k="end", counts=dict(sorted(self._counts.items()))))
        self._beside.do(partial(self._part.finish, end_us))


def line(at_us: int, **facts: Any) -> bytes:
    """One fact as it is written."""
    return json.dumps({"t": at_us, **facts}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def check_lines(content: bytes, *, start_us: int, end_us: int) -> int:
    """How many lines a segment holds; `Unreadable` unless each is a fact within the segment's time."""
    if not content.endswith(b"\n"):
        raise Unreadable(f"The last line is not whole. {ADVICE}")
    lines = content.split(b"\n")[:-1]
    for number, text in enumerate(lines, start=1):
        _, problem = read_fact(text, start_us=start_us, end_us=end_us)
        if problem:
            raise Unreadable(f"Line {number} {problem}. {ADVICE}")
    return len(lines)


def read_fact(text: bytes, *, start_us: int, end_us: int) -> tuple[dict[str, Any], str]:
    """A line's fact, and what is wrong with it: then all that is left of it is its time, if that is known."""
    try:
        fact = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "is no JSON"
    if not isinstance(fact, dict):
        return {}, NO_KIND
    at_us = fact.get("t")
    is_inside = type(at_us) is int and start_us <= at_us <= end_us
    if not isinstance(fact.get("k"), str):
        return {"t": at_us} if is_inside else {}, NO_KIND
    return (fact, "") if is_inside else ({}, f"lies outside the segment ({start_us} to {end_us})")
