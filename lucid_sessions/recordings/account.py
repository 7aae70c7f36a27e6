"""An account of what was done in a stretch of a session: its input track, opened a bounded part at a time."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from lucid_sessions.errors import Tampered

from . import listing, playback
from .doings import Doings, Entry
from .input_lines import NO_FACT, Fact, facts_in
from .lifecycle import ENDED, State, Status
from .models import Chunk, Gap, Session

log = structlog.get_logger(__name__)

TRACK = "input"
# What one account opens at most: 13 minutes of a desktop in use, 16 hours of one that nobody touches. To open
# a chunk of local disk takes 4 ms; of a store that is far, the time counts.
MOST_CHUNKS = 200
MOST_BYTES = 2 * 1024**2
MOST_SECONDS = 4.0
PENDING, QUARANTINED, SHREDDED, DAMAGED = "pending", "quarantined", "shredded", "damaged"


@dataclass(frozen=True)
class Account:
    """What was done from `from_us` to `to_us`; `next_from_us` is where the next stretch begins, if one does.

    Of a session that still grows more may come behind `to_us`. `window` is the one that had the input at the
    beginning.
    """

    from_us: int
    to_us: int
    next_from_us: int | None
    hears: str | None
    keys: str | None
    window: Fact | None
    entries: list[Entry]


def account(
    session: Session,
    *,
    from_us: int = 0,
    to_us: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Account:
    """What was done from `from_us` on, as far as that is opened at a time. Needs ENCRYPTION_PASSWORD.

    What cannot be told has an entry that says why. Refused and Retryable as of `playback.segment`.
    """
    doings, stands = Doings(from_us=from_us, to_us=to_us), _Standing()
    chunks = _chunks(session, from_us, to_us)
    told = _told(doings, chunks, stands, clock)
    more = len(told) < len(chunks)
    held_us = _held_us(doings, told, stands)
    until_us = told[-1].end_us if more else to_us
    gaps = _gaps(session, from_us, until_us)
    end_us = max([from_us, *(one.end_us for one in told), *(gap.to_us for gap in gaps)])
    if until_us is not None:
        end_us = min(end_us, until_us)
    done = doings.entries()
    if not more and session.status not in ENDED:
        end_us = _settled(told, end_us, stands)
        if held_us is not None and session.status != Status.PAUSED:
            end_us = min(end_us, held_us)
            done = [one for one in done if one["from_us"] < end_us or one["kind"] == "unread"]
    entries = sorted([*done, *map(_gap, gaps)], key=lambda one: int(one["from_us"]))
    known = doings.hears, doings.keys, doings.window
    return Account(from_us, end_us, end_us if more else None, *known, entries)


class _Standing:
    """How chunks stand: by the newest checkpoint, which is looked up once."""

    def __init__(self) -> None:
        self._size = listing.published_size()

    def why_not(self, chunk: Chunk) -> tuple[str, str]:
        """Why a chunk is not opened: a word for it, and the reason; two empty texts when it is."""
        if chunk.state == State.EXPIRED:
            return SHREDDED, "It was deleted, with its key."
        if chunk.quarantined_at is not None:
            return QUARANTINED, chunk.reason or "A person has to look."
        if not listing.is_published(chunk, self._size):
            return PENDING, f"It is {chunk.state}, and is told once it is anchored."
        return "", ""


def _chunks(session: Session, from_us: int, to_us: int | None) -> list[Chunk]:
    """Those that the account opens, and one more if there is one."""
    rows = Chunk.objects.filter(session=session.pk, track=TRACK, end_us__gt=from_us)
    if to_us is not None:
        rows = rows.filter(start_us__lt=to_us)
    return list(rows.order_by("sequence")[: MOST_CHUNKS + 1])


def _told(doings: Doings, chunks: list[Chunk], stands: _Standing, clock: Callable[[], float]) -> list[Chunk]:
    """The chunks that were opened, or of which it is told why not: one at least, if there is one."""
    told: list[Chunk] = []
    end_seconds, left = clock() + MOST_SECONDS, MOST_BYTES
    for chunk in chunks[:MOST_CHUNKS]:
        if told and (clock() > end_seconds or left < chunk.raw_length):
            break
        left -= chunk.raw_length
        _tell(doings, chunk, stands.why_not(chunk), goes_on=bool(told) and _follows(told[-1], chunk))
        told.append(chunk)
    return told


def _tell(doings: Doings, chunk: Chunk, why_not: tuple[str, str], *, goes_on: bool) -> None:
    state, reason = why_not
    if not state:
        try:
            facts = _facts(chunk)
        except Tampered as error:
            log.error("recording does not verify", alarm=True, chunk=str(chunk.pk), reason=str(error))
            state, reason = DAMAGED, str(error)
        else:
            if faulty := [fact["reason"] for fact in facts if fact["k"] == NO_FACT]:
                log.warning("lines of an input track are no facts", chunk=str(chunk.pk), first=faulty[0])
            doings.take(facts, goes_on=goes_on, chunk=str(chunk.pk))
            return
    about = {"chunk": str(chunk.pk), "state": state, "reason": reason}
    doings.interrupt("unread", chunk.start_us, chunk.end_us, **about)


def _facts(chunk: Chunk) -> list[Fact]:
    return facts_in(playback.segment(chunk), start_us=chunk.start_us, end_us=chunk.end_us)


def _follows(earlier: Chunk, later: Chunk) -> bool:
    return earlier.end_us == later.start_us and earlier.sequence >> 32 == later.sequence >> 32


def _held_us(doings: Doings, told: list[Chunk], stands: _Standing) -> int | None:
    """Since when modifiers are held of which only what is yet to come can say what for; None without any.

    Of others the chunk behind says it.
    """
    if not told or doings.held_since_us is None or stands.why_not(told[-1])[0] == PENDING:
        return doings.held_since_us
    last = told[-1]
    later = Chunk.objects.filter(session=last.session_id, track=TRACK, sequence__gt=last.sequence)
    behind = later.order_by("sequence").first()
    if behind is None or not _follows(last, behind):
        return doings.held_since_us if behind is None else None
    if why_not := stands.why_not(behind)[0]:
        return doings.held_since_us if why_not == PENDING else None
    with suppress(Tampered):  # the alarm is for the stretch in which it lies
        doings.look_on(_facts(behind))
    return None


def _gaps(session: Session, from_us: int, until_us: int | None) -> list[Gap]:
    gaps = Gap.objects.filter(session=session.pk, track=TRACK, to_us__gt=from_us)
    return list((gaps if until_us is None else gaps.filter(from_us__lt=until_us)).order_by("from_us"))


def _gap(gap: Gap) -> dict[str, Any]:
    times = {"from_us": gap.from_us, "to_us": gap.to_us}
    return {"kind": "gap", **times, "reason": gap.reason, "uncertain": gap.uncertain}


def _settled(told: list[Chunk], end_us: int, stands: _Standing) -> int:
    """Where what is still on its way begins, at the end of a session that grows: that is told again later."""
    for chunk in reversed(told):
        if stands.why_not(chunk)[0] != PENDING:
            break
        end_us = min(end_us, chunk.start_us)
    return end_us
