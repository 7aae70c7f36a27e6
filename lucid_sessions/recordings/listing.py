"""What playlists are made of: of a chunk only what they say, and of a session that goes on only what is new.

Who follows a recording asks every few seconds, and nearly all is as it was the last time. So the beginning of
its list is kept in memory, as far as it is settled: every row up to there is anchored, below a signed
checkpoint and in no quarantine. That it still is so two counts tell; a late chunk, a quarantine or an expiry
among them, and all is read anew.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple
from uuid import UUID

from .lifecycle import ENDED, State
from .models import Checkpoint, Chunk, Session

# Chunks, of all lists that are kept in this process; some 400 bytes each.
MOST_KEPT = 40_000


class Piece(NamedTuple):
    """A chunk, for a playlist."""

    pk: str
    state: str
    sequence: int
    epoch: int
    start_us: int
    end_us: int
    raw_length: int
    init_length: int
    record: int | None
    quarantined_at: datetime | None


Listed = Chunk | Piece
Place = tuple[UUID, str]
_kept: OrderedDict[Place, tuple[Piece, ...]] = OrderedDict()
_lock = threading.Lock()


def published_size() -> int:
    """How many records the newest signed checkpoint covers."""
    return Checkpoint.objects.values_list("size", flat=True).first() or 0


def is_bad(chunk: Listed) -> bool:
    """Whether the chunk is in quarantine: a person has to see to it, and until then nobody plays it."""
    return chunk.quarantined_at is not None and chunk.state != State.EXPIRED


def is_published(chunk: Listed, size: int) -> bool:
    """Whether a signed checkpoint of that size covers the chunk."""
    return chunk.state == State.ANCHORED and chunk.record is not None and chunk.record < size


def listed(session: Session, *, track: str = "screen") -> list[Piece]:
    """What a playlist of one track is made of: what is published, and what is in quarantine in its place.

    That is nothing to play, but it does not hide what comes after it. The last can be played.
    """
    newest, over = published_size(), session.status in ENDED
    settled = () if over else _settled(session, track, newest)
    rows = list(_rows(session, track, after=settled[-1].sequence if settled else -1))

    def is_there(one: Piece) -> bool:
        return is_bad(one) or is_published(one, newest)

    # While it is recorded the list may only grow at its end (RFC 8216, 6.2.1): one waits for another.
    found = [*settled, *(filter(is_there, rows) if over else takewhile(is_there, rows))]
    good = takewhile(lambda one: is_published(one, newest) and not is_bad(one), rows)
    _keep((session.pk, track), () if over else (*settled, *good))
    while found and is_bad(found[-1]):
        found.pop()
    return found


def playable(session: Session, *, track: str = "screen") -> list[Piece]:
    """Those of `listed` that can be played."""
    return [one for one in listed(session, track=track) if not is_bad(one)]


def _rows(session: Session, track: str, *, after: int) -> Iterator[Piece]:
    chunks = Chunk.objects.filter(session=session, track=track, sequence__gt=after).order_by("sequence")
    for pk, state, *more in chunks.values_list(*Piece._fields):
        yield Piece(str(pk), State(state), *more)


def _settled(session: Session, track: str, newest: int) -> tuple[Piece, ...]:
    """The beginning of the list as it was the last time, if it is so still; nothing otherwise."""
    with _lock:
        kept = _kept.get((session.pk, track), ())
    if not kept or any(one.record is None or one.record >= newest for one in kept):
        return ()
    rows = Chunk.objects.filter(session=session, track=track, sequence__lte=kept[-1].sequence)
    good = rows.filter(state=State.ANCHORED, quarantined_at__isnull=True)
    return kept if rows.count() == good.count() == len(kept) else ()


def _keep(place: Place, pieces: tuple[Piece, ...]) -> None:
    with _lock:
        _kept.pop(place, None)
        if pieces:
            _kept[place] = pieces
        while sum(map(len, _kept.values())) > MOST_KEPT:
            _kept.popitem(last=False)
