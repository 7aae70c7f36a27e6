"""A session at a glance: small pictures in the order of time, and how much happened between them."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from .lifecycle import State
from .models import Chunk, Session


@dataclass(frozen=True)
class Frame:
    """A stretch of the session; its small picture shows how it begins, where that is archived by now.

    `changed` adds up which part of the screen each picture changed (1.0: all of it). `pressed` counts keys
    and buttons; None where the session has no input track, as `changed` is where nobody has counted.
    """

    from_us: int
    to_us: int
    segments: int
    pictures: int
    changed: float | None
    pressed: int | None
    poster: UUID | None


class _Row(NamedTuple):
    pk: UUID
    from_us: int
    to_us: int
    pictures: int
    activity: float | None
    playable: bool


def filmstrip(
    session: Session, *, most: int, from_us: int | None = None, to_us: int | None = None
) -> list[Frame]:
    """At most `most` stretches of the session, or of a part of it: each stands for as many segments."""
    thumbs = _rows(session, "thumb", from_us=from_us, to_us=to_us)
    pressed = _rows(session, "input", from_us=from_us, to_us=to_us)
    each = -(-len(thumbs) // most)
    groups = [thumbs[at : at + each] for at in range(0, len(thumbs), each or 1)]
    return [_frame(group, _within(pressed, group) if pressed else None) for group in groups]


def _rows(session: Session, track: str, *, from_us: int | None, to_us: int | None) -> list[_Row]:
    rows = Chunk.objects.filter(session=session.pk, track=track).order_by("sequence")
    if from_us is not None:
        rows = rows.filter(end_us__gt=from_us)
    if to_us is not None:
        rows = rows.filter(start_us__lt=to_us)
    columns = rows.values_list("pk", "start_us", "end_us", "frames", "activity", "state", "quarantined_at")
    return [_Row(*row[:5], row[5] == State.ANCHORED and row[6] is None) for row in columns]


def _within(pressed: Sequence[_Row], group: Sequence[_Row]) -> Sequence[_Row]:
    """Those that begin within the stretch; both are in the order of time."""
    begin, end = (bisect_left(pressed, at, key=_begin) for at in (group[0].from_us, group[-1].to_us))
    return pressed[begin:end]


def _begin(row: _Row) -> int:
    return row.from_us


def _frame(group: Sequence[_Row], pressed: Sequence[_Row] | None) -> Frame:
    known = [row.activity for row in group if row.activity is not None]
    return Frame(
        from_us=group[0].from_us,
        to_us=group[-1].to_us,
        segments=len(group),
        pictures=sum(row.pictures for row in group),
        changed=round(sum(known), 4) if known else None,
        pressed=None if pressed is None else int(sum(row.activity or 0 for row in pressed)),
        poster=next((row.pk for row in group if row.playable), None),
    )
