"""Gaps and ends of tracks become rows; a session that was sealed without one of them is sealed again."""

import hashlib
from typing import Any
from uuid import UUID

from recorder.names import ClosedMarker, GapMarker

from . import failpoints, upkeep
from .events import CHANGED
from .lifecycle import ENDED, Status
from .models import Closure, Gap, Session

Marker = GapMarker | ClosedMarker
# Above any number that a recorder gives, which counts from 1: gaps of which only a seal tells.
UNNUMBERED = 1 << 20


def file_marker(marker: Marker) -> None:
    """The marker has its row, and is in the next seal of its session, wherever this is interrupted."""
    place, facts = _place(marker), _facts(marker)
    rows = (Gap if isinstance(marker, GapMarker) else Closure).objects
    begun = _name(marker)
    if isinstance(marker, GapMarker):
        _number(marker, facts)
    if rows.filter(**place).exists() and not upkeep.recall(begun):
        return
    # Noted before the row is there: who finds it knows by this that one died before the session was told.
    upkeep.note(begun, {"session": str(marker.session), "file": marker.filename})
    rows.get_or_create(**place, defaults=facts)
    failpoints.reach("marker.filed")
    _seal_again(marker.session)
    upkeep.forget(begun)


def _number(marker: GapMarker, facts: dict[str, Any]) -> None:
    """A restore may know the gap already, from its seal, which tells no number: now it has its own."""
    there = Gap.objects.filter(session=marker.session, track=marker.track, take=marker.take)
    if not there.filter(number=marker.number).exists():
        same = there.filter(number__gt=UNNUMBERED, **facts).values_list("pk", flat=True)[:1]
        Gap.objects.filter(pk__in=list(same)).update(number=marker.number)


def _name(marker: Marker) -> str:
    place = f"{marker.session} {marker.take} {marker.filename}"
    return f"filing {hashlib.sha256(place.encode()).hexdigest()[:32]}"


def _place(marker: Marker) -> dict[str, Any]:
    place = {"session_id": marker.session, "track": marker.track, "take": marker.take}
    return {**place, "number": marker.number} if isinstance(marker, GapMarker) else place


def _facts(marker: Marker) -> dict[str, Any]:
    if isinstance(marker, GapMarker):
        span = {"from_us": marker.from_us, "to_us": marker.to_us}
        return {**span, "reason": marker.reason, "uncertain": marker.uncertain}
    end = {"last_counter": marker.last_counter, "end_us": marker.end_us}
    return {**end, "ending": marker.ending, "reason": marker.reason}


def _seal_again(session: UUID) -> None:
    """What was sealed without this gap or closure needs a new revision."""
    rows = Session.objects.filter(pk=session, status__in=ENDED)
    rows.update(status=Status.PROCESSING, **CHANGED)
