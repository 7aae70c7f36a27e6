"""Telling the workers that there is something to do, as soon as there is: best effort, never the truth.

The Celery application registers itself here at start-up. Where none is registered, or the broker is
away, nothing is lost: the reconciler finds what is due in the database.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.conf import settings
from django.utils import timezone

from .lifecycle import stage_for
from .models import Chunk

log = structlog.get_logger(__name__)

# A message carries ids only; these bound the work that one message stands for.
MOST_CHUNKS = 16
MOST_BYTES = 16 * 1024 * 1024


# A broker that did not take a hint is left in peace this long: asking it may block for many seconds.
SILENCE_SECONDS = 5.0


class Publisher(Protocol):
    """What the Celery application offers."""

    def publish(self, stage: str, chunk_ids: Sequence[UUID], *, spool: str, patiently: bool = False) -> None:
        """Send the chain from `stage` on for these chunks; raises when the broker does not take it at once.

        `patiently`: a broker that is slow, or comes back within some seconds, is waited for.
        """

    def depth(self, stage: str, *, spool: str) -> int:
        """How many messages wait in that stage's queue."""

    def waiting(self, stage: str, *, spool: str) -> set[UUID]:
        """The chunks that the messages in that stage's queue speak of."""


_publisher: Publisher | None = None
_silent_until = 0.0


def register(publisher: Publisher | None) -> None:
    """From now on hints go to `publisher`; None silences them."""
    global _publisher, _silent_until
    _publisher, _silent_until = publisher, 0.0


def connect() -> None:
    """Load the module that the settings name, which registers its publisher here."""
    import_module(settings.LUCID_PUBLISHER)


def publisher() -> Publisher | None:
    """Who takes hints now."""
    return _publisher


def is_sent(send: Callable[[], object], what: str, **facts: Any) -> bool:
    """True when the broker took what is sent; one that did not take the last is left in peace for a while."""
    global _silent_until
    if time.monotonic() < _silent_until:
        return False
    try:
        send()
    except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the hint is only lost
        _silent_until = time.monotonic() + SILENCE_SECONDS
        log.warning(f"{what} not sent", **facts, error=str(error))
        return False
    return True


def hint(chunks: Iterable[Chunk], *, patiently: bool = False) -> int:
    """How many of these chunks (any states) were announced to the workers that can go on with them.

    Whoever has more to do than this waits a moment only; the reconciler, which makes up for it, `patiently`.
    """
    if _publisher is None or time.monotonic() < _silent_until:
        return 0
    told = 0
    for group in groups(chunks):
        stage = stage_for(group[0].state)
        if stage is None:
            continue
        ids = [chunk.pk for chunk in group]
        send = partial(_publisher.publish, stage.name, ids, spool=group[0].spool, patiently=patiently)
        if not is_sent(send, "hint", stage=stage.name, chunks=len(ids)):
            return told
        Chunk.objects.filter(pk__in=ids).update(hinted_at=timezone.now())
        told += len(ids)
    return told


def in_vain(told: Iterable[Chunk]) -> list[UUID]:
    """Those of these chunks, announced before, of which no queue holds a message: lost, or in some hand.

    None while the broker does not answer: what was announced 20 s ago is taken for lost anyway.
    """
    if _publisher is None:
        return [chunk.pk for chunk in told]
    by_queue: dict[tuple[str, str], list[UUID]] = {}
    for chunk in told:
        if stage := stage_for(chunk.state):
            by_queue.setdefault((stage.name, chunk.spool), []).append(chunk.pk)
    found: list[UUID] = []
    for (name, spool), ids in by_queue.items():
        waiting = _waiting(name, spool)
        if waiting is None:
            return []
        found += [pk for pk in ids if pk not in waiting]
    return found


def _waiting(stage: str, spool: str) -> set[UUID] | None:
    global _silent_until
    if _publisher is None or time.monotonic() < _silent_until:
        return None
    try:
        return _publisher.waiting(stage, spool=spool)
    except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, it does not answer
        _silent_until = time.monotonic() + SILENCE_SECONDS
        log.warning("the broker does not answer", reason=str(error))
        return None


def groups(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """The chunks in lots for one message each: same state, same spool, bounded in number and bytes.

    A chunk whose last claim was lost without a verdict goes alone: should it be what kills workers,
    it takes nobody with it and is counted.
    """
    open_lots: dict[tuple[str, str], list[Chunk]] = {}
    for chunk in chunks:
        if chunk.token:
            yield [chunk]
            continue
        key = (chunk.state, chunk.spool)
        lot = open_lots.setdefault(key, [])
        if lot and (
            len(lot) == MOST_CHUNKS or sum(c.raw_length for c in lot) + chunk.raw_length > MOST_BYTES
        ):
            yield lot
            lot = open_lots[key] = []
        lot.append(chunk)
    yield from (lot for lot in open_lots.values() if lot)
