"""Figures that the database knows: asked in the background, so that a scrape never waits for it.

One service exports them (pipeline-manager; embedded: the API), since all of them would say the same.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import (
    anchoring,
    clock_guard,
    jobs,
    queues,
    quota,
    reconcile,
    scrub,
    setbacks,
    tombstones,
    upkeep,
)
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.lifecycle import ARCHIVED, LIVE
from lucid_sessions.recordings.models import Checkpoint, Chunk, Gap, Session
from lucid_sessions.recordings.webhooks import deliveries

from .background import Watched

log = structlog.get_logger(__name__)

# How long a scrape waits for fresh figures before it takes the last ones.
WAIT_SECONDS = 0.5
FRESH_SECONDS = 5.0
# However large the archive, asking takes at most a twentieth of the database's time.
REST = 20.0
SESSION_SECONDS = (60, 300, 600, 1800, 3600, 7200, 14400, 28800)
# A gap's reason is free text; a label's value may not be.
ASKED_FOR = "paused"


class Figures(NamedTuple):
    """What was found at one time."""

    created: int = 0
    active: int = 0
    seconds: tuple[float, ...] = ()
    storage: Mapping[str, int] = {}
    depth: Mapping[str, int] = {}
    gaps: Mapping[str, int] = {}
    dropped: int = 0
    quarantined: Mapping[str, int] = {}
    oldest_unanchored: float = 0.0
    checkpoint_age: float | None = None
    unvouched: Mapping[str, float] = {}
    oldest_unverified: float = 0.0
    webhooks: Mapping[str, int] = {}
    oldest_job: float = 0.0
    last_backup: float = 0.0
    deletion_suspended: bool = False
    oldest_expiring: float = 0.0


class Gauges(Collector):
    """The latest figures as Prometheus metrics; none at all while the database has never answered."""

    def __init__(self) -> None:
        """Nothing is asked before the first scrape."""
        self._figures: Watched[Figures | None] = Watched(
            look, otherwise=None, fresh=FRESH_SECONDS, patience=3 * FRESH_SECONDS, rest=REST
        )

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not ask the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics by the names of the specification."""
        found = self._figures.latest(within=WAIT_SECONDS)
        if found is not None:
            yield from _sessions(found)
            yield from _pipeline(found)
            yield from _recorder(found)
            yield from _upkeep(found)
            yield from _webhooks(found)
            yield GaugeMetricFamily(
                "jobs_oldest_pending_seconds",
                "How long the export, evidence or verification that waits longest has waited",
                value=found.oldest_job,
            )


def _webhooks(found: Figures) -> Iterator[Metric]:
    for name, text in (
        ("webhook_deliveries_pending", "Deliveries of webhooks that wait"),
        ("webhook_endpoints_failing", "Endpoints of webhooks whose last attempt failed"),
    ):
        yield GaugeMetricFamily(name, text, value=found.webhooks.get(name.rpartition("_")[2], 0))


def _sessions(found: Figures) -> Iterator[Metric]:
    created = CounterMetricFamily("sessions_created", "Total number of sessions created", labels=["status"])
    created.add_metric(["created"], found.created)
    yield created
    yield GaugeMetricFamily("sessions_active", "Number of active sessions", value=found.active)
    buckets = [(str(float(top)), sum(took <= top for took in found.seconds)) for top in SESSION_SECONDS]
    buckets.append(("+Inf", len(found.seconds)))
    yield HistogramMetricFamily(
        "session_duration_seconds",
        "Session duration in seconds",
        buckets=buckets,
        sum_value=sum(found.seconds),
    )


def _pipeline(found: Figures) -> Iterator[Metric]:
    yield _labelled("storage_used_bytes", "Storage used in bytes", "type", found.storage)
    yield _labelled("pipeline_queue_depth", "Messages that wait, by queue", "queue", found.depth)
    yield GaugeMetricFamily(
        "pipeline_oldest_unanchored_seconds",
        "Age of the oldest chunk that is neither anchored nor quarantined",
        value=found.oldest_unanchored,
    )
    yield _labelled(
        "chunks_quarantined",
        "Chunks that a person has to look at: not archived, or archived and bad or lost",
        "where",
        found.quarantined,
    )
    if found.checkpoint_age is not None:
        yield GaugeMetricFamily(
            "ledger_checkpoint_age_seconds", "Age of the newest signed checkpoint", value=found.checkpoint_age
        )
    yield _labelled(
        "ledger_unvouched_seconds",
        "How long the newest checkpoint has waited for the word of an authority outside",
        "authority",
        found.unvouched,
    )


def _upkeep(found: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "scrub_oldest_unverified_seconds",
        "Longest time since a stored chunk was verified",
        value=found.oldest_unverified,
    )
    yield GaugeMetricFamily(
        "backup_last_success_timestamp_seconds",
        "When the last good backup was finished, in seconds since 1970; 0: never",
        value=found.last_backup,
    )
    yield GaugeMetricFamily(
        "backup_interval_seconds",
        "How far apart backups are meant to be",
        value=settings.LUCID_BACKUP_HOURS * 3600,
    )
    yield GaugeMetricFamily(
        "retention_suspended",
        "1: nothing is deleted by age until a person has confirmed the clock",
        value=found.deletion_suspended,
    )
    yield GaugeMetricFamily(
        "shredding_oldest_seconds",
        "How long the session that waits longest for its end has been expiring",
        value=found.oldest_expiring,
    )


def _recorder(found: Figures) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "recorder_dropped_frames", "Frames that a recorder could not keep up with", value=found.dropped
    )
    gaps = CounterMetricFamily("recorder_gaps", "Stretches of time that were not recorded", labels=["reason"])
    for reason, count in found.gaps.items():
        gaps.add_metric([reason], count)
    yield gaps


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, figure in values.items():
        family.add_metric([value], figure)
    return family


def look() -> Figures:
    """The figures now; raises what the database's or Redis's driver raises."""
    try:
        newest = Checkpoint.objects.order_by("-size").values_list("created_at", flat=True).first()
        return Figures(
            created=Session.objects.count(),
            active=Session.objects.filter(status__in=LIVE).count(),
            seconds=_durations(),
            storage=_storage(),
            depth=queues.depths(),
            gaps=_gaps(),
            dropped=_dropped(),
            quarantined=_quarantined(),
            oldest_unanchored=reconcile.oldest_unanchored_seconds(),
            checkpoint_age=_age(newest) if newest else None,
            unvouched=_unvouched(),
            oldest_unverified=scrub.oldest_unverified_seconds(),
            last_backup=upkeep.last_backup(),
            deletion_suspended=bool(clock_guard.suspended()),
            oldest_expiring=tombstones.oldest_expiring_seconds(),
            webhooks=deliveries.backlog(),
            oldest_job=jobs.oldest_pending_seconds(),
        )
    finally:
        connection.close()


def _unvouched() -> dict[str, float]:
    try:
        return anchoring.waiting_seconds(installation())
    except LucidError as error:
        log.warning("anchors cannot be judged", reason=str(error))
        return {}


def _durations() -> tuple[float, ...]:
    ended = Session.objects.filter(ended_at__isnull=False, started_at__isnull=False).order_by()
    times = ended.values_list("started_at", "ended_at")
    return tuple(max(0.0, (end - start).total_seconds()) for start, end in times if start and end)


def _storage() -> dict[str, int]:
    """As quota counts it: up to half a minute old, but no sum over every chunk."""
    spooled = Chunk.objects.filter(path__gt="").aggregate(total=Sum("raw_length"))["total"] or 0
    return {"chunks": max(0, quota.stored().used - spooled), "spool": spooled}


def _quarantined() -> dict[str, int]:
    counts = {"pipeline": 0, "archive": 0}
    for row in setbacks.quarantined().order_by().values("state").annotate(count=Count("pk")):
        counts["archive" if row["state"] in ARCHIVED else "pipeline"] += row["count"]
    return counts


def _gaps() -> dict[str, int]:
    counts = {ASKED_FOR: 0, "other": 0}
    for row in Gap.objects.order_by().values("reason").annotate(count=Count("pk")):
        counts[ASKED_FOR if row["reason"].startswith(ASKED_FOR) else "other"] += row["count"]
    return counts


def _dropped() -> int:
    figures = Session.objects.exclude(statistics={}).order_by().values_list("statistics", flat=True)
    return sum(int(one.get("dropped_frames", 0) + one.get("dropped_earlier", 0)) for one in figures)


def _age(since: datetime) -> float:
    return max(0.0, (timezone.now() - since).total_seconds())
