"""What the pages show: sessions with their progress, and one session's timeline."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from django.utils import timezone

from lucid_sessions.recordings import retention
from lucid_sessions.recordings.api.figures import progress
from lucid_sessions.recordings.lifecycle import LIVE, Desired, State, Status
from lucid_sessions.recordings.models import Chunk, Gap, Session

# Processing sessions still grow, by chunks that are on their way.
GROWING = (*LIVE, Status.PROCESSING)


@dataclass(frozen=True)
class Row:
    """One session as the list shows it."""

    session: Session
    total: int
    anchored: int
    quarantined: int
    verbs: tuple[str, ...]
    # When it goes by age, where that is soon.
    goes: datetime | None = None

    @property
    def lasted(self) -> timedelta | None:
        """How long it was, or has been, recorded."""
        if self.session.started_at is None:
            return None
        return (self.session.ended_at or timezone.now()) - self.session.started_at

    @property
    def source(self) -> str:
        """What is recorded, without how it is reached; of a file its name, never a path of its host."""
        address = self.session.source.partition("?")[0]
        return f"file {unquote(address).rpartition('/')[2]}" if address.startswith("file:") else address

    @property
    def held(self) -> bool:
        """Whether it is under a legal hold, so that nothing of it may go."""
        return any(not hold.get("released_at") for hold in self.session.holds)

    @property
    def percent(self) -> int:
        """How much of what was recorded is proven."""
        return 100 * self.anchored // self.total if self.total else 0


def rows_of(sessions: list[Session]) -> list[Row]:
    """The sessions with their progress, which costs one query for all of them."""
    found = progress(session.pk for session in sessions)
    nothing = {"total": 0, "anchored": 0, "quarantined": 0}
    goes = {one.session.pk: one.due for one in retention.going_soon(sessions)}
    return [
        Row(one, **found.get(one.pk, nothing), verbs=verbs_for(one), goes=goes.get(one.pk))
        for one in sessions
    ]


def verbs_for(session: Session) -> tuple[str, ...]:
    """What its owner could tell the recorder now."""
    if session.desired == Desired.STOP:
        return ()
    if session.status == Status.CREATED:
        return ("start",)
    if session.status == Status.PAUSED or session.desired == Desired.PAUSE:
        return ("resume", "stop")
    return ("pause", "stop") if session.status in LIVE else ()


def timeline_of(session: Session, *, since_us: int = 0) -> dict[str, Any]:
    """Segments and gaps of the screen track for the player's bar, in microseconds of the timeline.

    Only those that end after `since_us`. `now_us` is where the timeline is now, of a session that grows.
    """
    chunks = Chunk.objects.filter(session=session.pk, track="screen", end_us__gt=since_us).order_by(
        "sequence"
    )
    segments = [
        {
            "id": str(pk),
            "from": begin,
            "to": end,
            "playable": state == State.ANCHORED and quarantined is None,
            "state": "quarantined" if quarantined else state,
        }
        for pk, begin, end, state, quarantined in chunks.values_list(
            "pk", "start_us", "end_us", "state", "quarantined_at"
        )
    ]
    gaps = Gap.objects.filter(session=session.pk, track="screen", to_us__gt=since_us).order_by("from_us")
    return {
        "status": session.status,
        "growing": session.status in GROWING,
        "began_ms": int(session.started_at.timestamp() * 1000) if session.started_at else None,
        "now_us": _now_us(session) if session.status in LIVE else None,
        "sealed_revision": session.sealed_revision,
        "segments": segments,
        "gaps": [
            {"from": gap.from_us, "to": gap.to_us, "reason": gap.reason, "uncertain": gap.uncertain}
            for gap in gaps
        ],
    }


def _now_us(session: Session) -> int | None:
    """By the newest segment's times; None before the first."""
    chunks = Chunk.objects.filter(session=session.pk, track="screen").order_by("-sequence")
    newest = chunks.values_list("start_us", "timestamp_ms").first()
    return newest[0] + time.time_ns() // 1000 - newest[1] * 1000 if newest else None
