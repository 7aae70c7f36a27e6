"""Counts and sums over sessions and chunks, each by one grouped query; nothing is joined."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, QuerySet, Sum
from django.utils import timezone

from ..lifecycle import STAGES, UNFINISHED, State, stage_for
from ..models import Chunk, Gap, Session

# How many quarantined chunks are listed with their reasons; the count is of all.
LISTED = 100


def progress(session_ids: Iterable[Any]) -> dict[Any, dict[str, int]]:
    """For each session: `total`, `anchored` and `quarantined` chunks."""
    rows = (
        Chunk.objects.filter(session__in=list(session_ids))
        .order_by()
        .values("session", "state")
        .annotate(number=Count("pk"), quarantined=Count("quarantined_at"))
    )
    found: dict[Any, dict[str, int]] = {}
    for row in rows:
        one = found.setdefault(row["session"], {"total": 0, "anchored": 0, "quarantined": 0})
        one["total"] += row["number"]
        one["quarantined"] += row["quarantined"]
        if row["state"] in (State.ANCHORED, State.EXPIRED):
            one["anchored"] += row["number"]
    return found


def pipeline(session: Session) -> dict[str, Any]:
    """How many chunks wait at each stage, what is quarantined and why, and how old the oldest is."""
    rows = Chunk.objects.filter(session=session.pk).order_by()
    counts = {
        row["state"]: row
        for row in rows.values("state").annotate(number=Count("pk"), quarantined=Count("quarantined_at"))
    }
    stages = [
        {
            "stage": stage.name,
            "waiting": _count(counts, stage.needs, "number") - _count(counts, stage.needs, "quarantined"),
            "quarantined": _count(counts, stage.needs, "quarantined"),
        }
        for stage in STAGES.values()
    ]
    waiting = rows.filter(state__in=UNFINISHED, quarantined_at__isnull=True)
    oldest: datetime | None = waiting.aggregate(oldest=Min("created_at"))["oldest"]
    return {
        "session": session.pk,
        "status": session.status,
        "processing_paused": session.processing_paused,
        "stages": stages,
        "anchored": _count(counts, State.ANCHORED, "number"),
        "expired": _count(counts, State.EXPIRED, "number"),
        "total": sum(row["number"] for row in counts.values()),
        "oldest_waiting_since": oldest,
        "oldest_waiting_seconds": (timezone.now() - oldest).total_seconds() if oldest else None,
        "waiting_reasons": reasons(waiting),
        "quarantined": [_quarantined(chunk) for chunk in _listed(rows)],
    }


def _count(counts: Mapping[str, Any], state: State, name: str) -> int:
    return int(counts[state][name]) if state in counts else 0


def reasons(waiting: "QuerySet[Chunk]") -> list[dict[str, Any]]:
    """Why chunks are being tried again, the commonest first."""
    rows: Any = (
        waiting.filter(reason__gt="").values("reason").annotate(chunks=Count("pk")).order_by("-chunks")
    )
    return list(rows[:10])


def _listed(rows: "QuerySet[Chunk]") -> "QuerySet[Chunk]":
    return rows.filter(quarantined_at__isnull=False).order_by("track", "sequence")[:LISTED]


def _quarantined(chunk: Chunk) -> dict[str, Any]:
    stage = stage_for(chunk.state)
    return {
        "chunk": chunk.pk,
        "track": chunk.track,
        "sequence": chunk.sequence,
        "stage": stage.name if stage else None,
        "since": chunk.quarantined_at,
        "reason": chunk.reason,
    }


def session_statistics(session: Session) -> dict[str, Any]:
    """What one session amounts to: time, bytes, frames, gaps, and what the recorder last reported."""
    chunks = Chunk.objects.filter(session=session.pk).exclude(state=State.EXPIRED).order_by()
    tracks = chunks.values("track").annotate(
        chunks=Count("pk"),
        start_us=Min("start_us"),
        end_us=Max("end_us"),
        frames=Sum("frames"),
        recorded_bytes=Sum("raw_length"),
        stored_bytes=Sum("blob_length"),
    )
    gaps = Gap.objects.filter(session=session.pk).order_by()
    lengths = [to - begin for begin, to in gaps.filter(track="screen").values_list("from_us", "to_us")]
    return {
        "session": session.pk,
        "status": session.status,
        "tracks": sorted(tracks, key=lambda row: str(row["track"])),
        "gaps": len(lengths),
        "gap_seconds": sum(lengths) / 1_000_000,
        "recorder": session.statistics,
    }


def overall_statistics(visible: "QuerySet[Session]", *, sees_all: bool) -> dict[str, Any]:
    """The same over every session that the caller sees."""
    by_status = visible.order_by().values("status").annotate(number=Count("pk"))
    chunks = Chunk.objects.order_by()
    if not sees_all:
        chunks = chunks.filter(session__in=list(visible.values_list("pk", flat=True)))
    rows = chunks.values("state").annotate(
        number=Count("pk"),
        quarantined=Count("quarantined_at"),
        recorded=Sum("raw_length"),
        stored=Sum("blob_length"),
    )
    states = {row["state"]: row for row in rows}
    return {
        "sessions": {row["status"]: row["number"] for row in by_status},
        "chunks": {state: row["number"] for state, row in states.items()},
        "quarantined": sum(row["quarantined"] for row in states.values()),
        "recorded_bytes": sum(row["recorded"] for row in states.values()),
        "stored_bytes": sum(row["stored"] for state, row in states.items() if state != State.EXPIRED),
    }
