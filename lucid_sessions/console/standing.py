"""How the installation stands, for whoever is on call: what waits or is stuck, where, since when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from lucid_sessions.recordings import clock_guard, queues, quota, scrub, setbacks, tombstones, upkeep
from lucid_sessions.recordings.api.figures import reasons
from lucid_sessions.recordings.lifecycle import STAGES, UNFINISHED, stage_for
from lucid_sessions.recordings.models import Checkpoint, Chunk, RecorderHost
from lucid_sessions.recordings.sessions import HOST_SEEN_WITHIN

# Longer than a session waits after any single loss (docs/reliability.md): then somebody should look.
LONG = timedelta(seconds=60)
LISTED = 20
# What the alert ShreddingStuck goes by.
SHREDDED_WITHIN = timedelta(days=1)


@dataclass(frozen=True)
class Waiting:
    """What waits for one stage; `messages` is None while Redis is away."""

    stage: str
    chunks: int
    since: datetime | None
    messages: int | None


@dataclass(frozen=True)
class Stuck:
    """A quarantined chunk, and what to do about it."""

    chunk: Chunk
    stage: str
    next_step: str


@dataclass(frozen=True)
class Host:
    """A recorder's host; `living` while it reports."""

    row: RecorderHost
    living: bool


@dataclass(frozen=True)
class Standing:
    """All that the page shows."""

    waiting: list[Waiting]
    reasons: list[dict[str, Any]]
    stuck: list[Stuck]
    stuck_in_all: int
    hosts: list[Host]
    storage: list[quota.Usage]
    checkpoint: Checkpoint | None
    unverified: timedelta
    backed_up: datetime | None
    suspended: str = ""
    expiring: timedelta = timedelta()
    other_messages: dict[str, int] = field(default_factory=dict)

    def concerns(self) -> Iterator[str]:
        """What somebody should look at, each in a sentence; nothing when all is well."""
        if any(one.messages is None for one in self.waiting):
            yield "Redis does not answer. Recording goes on; what waits is announced when it is back."
        for one in self.waiting:
            if one.since and timezone.now() - one.since > LONG:
                yield f"A chunk waits for {one.stage} since {one.since:%Y-%m-%d %H:%M:%S} UTC."
        if self.stuck_in_all:
            yield f"Quarantined chunks: {self.stuck_in_all}. Below is why, and what to do."
        yield from (f"Storage fills up: {usage}." for usage in self.storage if usage.level)
        if self.suspended:
            yield self.suspended
        if self.expiring > SHREDDED_WITHIN:
            yield (
                f"What was to be deleted {self.expiring.days} days ago is not gone yet. "
                "`manage.py retention` says what is waited for."
            )
        if self.unverified > scrub.ROUND:
            yield f"Some stored chunks were not verified for {self.unverified.days} days."


def look() -> Standing:
    """How it stands now. Only what is unfinished or stuck is counted: a large archive costs no more."""
    depths = queues.depths()
    quarantined = setbacks.quarantined().order_by()
    return Standing(
        waiting=_waiting(depths),
        reasons=reasons(_unfinished()),
        stuck=_stuck(quarantined),
        stuck_in_all=quarantined.count(),
        hosts=_hosts(),
        storage=quota.usages(),
        checkpoint=Checkpoint.objects.order_by("-size").first(),
        unverified=timedelta(seconds=scrub.oldest_unverified_seconds()),
        backed_up=_backed_up(),
        suspended=clock_guard.suspended(),
        expiring=timedelta(seconds=tombstones.oldest_expiring_seconds()),
        other_messages={name: number for name, number in depths.items() if name not in STAGES},
    )


def _unfinished() -> "QuerySet[Chunk]":
    return Chunk.objects.filter(state__in=UNFINISHED, quarantined_at__isnull=True).order_by()


def _waiting(depths: dict[str, int]) -> list[Waiting]:
    found: dict[str, Any] = {
        row["state"]: row
        for row in _unfinished().values("state").annotate(chunks=Count("pk"), since=Min("created_at"))
    }
    nothing: dict[str, Any] = {"chunks": 0, "since": None}
    rows = [(name, found.get(stage.needs, nothing)) for name, stage in STAGES.items()]
    return [Waiting(name, row["chunks"], row["since"], depths.get(name)) for name, row in rows]


def _stuck(quarantined: "QuerySet[Chunk]") -> list[Stuck]:
    newest = quarantined.order_by("-quarantined_at").prefetch_related("session")[:LISTED]
    return [Stuck(chunk, _stage_of(chunk), setbacks.next_step(chunk)) for chunk in newest]


def _stage_of(chunk: Chunk) -> str:
    stage = stage_for(chunk.state)
    return stage.name if stage else "stored"


def _hosts() -> list[Host]:
    since = timezone.now() - HOST_SEEN_WITHIN
    return [Host(row, living=row.seen_at > since) for row in RecorderHost.objects.order_by("name")]


def _backed_up() -> datetime | None:
    at = upkeep.last_backup()
    return datetime.fromtimestamp(at, UTC) if at else None
