"""What remains to be done is a question to the database: find it, and tell the workers again.

Runs every five seconds from beat, and as `manage.py reconcile --loop`, which needs no broker: where no
hint can be sent it does the work itself. Doubled or delayed ticks are harmless.
"""

import time
from collections.abc import Iterable
from datetime import timedelta

import structlog
from django.conf import settings
from django.utils import timezone

from lucid_sessions.errors import LucidError

from . import hints, leases, pipeline, sealing
from .installation import Installation
from .lifecycle import STAGES, UNFINISHED, State, stage_for, stages_from
from .models import Chunk

log = structlog.get_logger(__name__)

TICK_SECONDS = 5.0
MOST_A_TICK = 1000
# A hint that was sent this long ago without effect is taken for lost.
HINT_LASTS = timedelta(seconds=20)
# Just after start-up the leases of workers that are still alive look abandoned.
GRACE_SECONDS = 10.0

_started = time.monotonic()


def due(limit: int = MOST_A_TICK) -> list[Chunk]:
    """Unfinished chunks that nobody holds, may be tried now and were not hinted lately; oldest first."""
    now = timezone.now()
    waiting = Chunk.objects.filter(state__in=UNFINISHED, quarantined_at__isnull=True)
    waiting = waiting.filter(leases.past("next_attempt_at", now)).filter(leases.past("lease_until", now))
    hinted = timezone.now() - HINT_LASTS
    fresh = waiting.filter(hinted_at__gt=hinted, hinted_at__lte=now).values_list("pk", flat=True)
    told = set(fresh[: limit * 4])
    chunks = waiting.order_by("created_at", "pk")[: limit + len(told)]
    return [chunk for chunk in chunks if chunk.pk not in told and _takeable(chunk)][:limit]


def _takeable(chunk: Chunk) -> bool:
    return not chunk.token or time.monotonic() - _started > GRACE_SECONDS


def tick() -> int:
    """How many chunks were announced again."""
    return hints.hint(_without_full_queues(due()))


def _without_full_queues(chunks: list[Chunk]) -> Iterable[Chunk]:
    """A queue that is long enough gets no more: its workers are busy, not ignorant."""
    publisher = hints.publisher()
    if publisher is None:
        return []
    full: dict[tuple[str, str], bool] = {}
    kept = []
    for chunk in chunks:
        stage = stage_for(chunk.state)
        if stage is None:
            continue
        key = (stage.name, chunk.spool)
        if key not in full:
            full[key] = publisher.depth(stage.name, spool=chunk.spool) >= settings.PIPELINE_BUFFER_SIZE
        if not full[key]:
            kept.append(chunk)
    return kept


def work_inline(world: Installation) -> int:
    """How many chunks were brought forward by this process itself, without any broker."""
    chunks = due()
    for group in hints.groups(chunks):
        stage = stage_for(group[0].state)
        if stage is None or stage.name == "anchor":
            continue
        stages = [name for name in stages_from(stage.name) if name != "anchor"]
        pipeline.run(stages, [chunk.pk for chunk in group], world=world)
    sealing.seal(world)
    return len(chunks)


def loop(world: Installation, *, rounds: int | None = None) -> None:
    """Keep working inline until `rounds` are over (None: for ever); an outage is logged and waited out."""
    done = 0
    while rounds is None or done < rounds:
        try:
            work_inline(world)
        except LucidError as error:
            log.warning("reconcile waits", reason=str(error))
        done += 1
        if rounds is None or done < rounds:
            time.sleep(TICK_SECONDS)


def backlog() -> dict[str, int]:
    """How many chunks wait for each stage."""
    return {
        name: Chunk.objects.filter(state=stage.needs, quarantined_at__isnull=True).count()
        for name, stage in STAGES.items()
    }


def oldest_unanchored_seconds() -> float:
    """Age of the oldest chunk that is neither anchored nor quarantined; 0 when there is none."""
    waiting = Chunk.objects.filter(state__in=UNFINISHED, quarantined_at__isnull=True)
    first = waiting.order_by("created_at").values_list("created_at", flat=True).first()
    return max(0.0, (timezone.now() - first).total_seconds()) if first else 0.0


def orphan_blobs(world: Installation) -> list[str]:
    """Stored blobs whose rows name another blob for their place, or are expired: safe to remove.

    A blob without any row is kept and reported elsewhere: the database may be the older of the two.
    """
    from lucid_sessions import archive

    found = []
    for name in world.blobs.names():
        if Chunk.objects.filter(blob=name).exclude(state=State.EXPIRED).exists():
            continue
        with world.blobs.open(name) as blob:
            header = archive.read_header(blob.read(archive.HEADER))
        for row in Chunk.objects.filter(
            sequence=header.sequence, state__in=(State.STORED, State.ANCHORED, State.EXPIRED)
        ):
            bound = archive.session_binding(row.session_id, row.track)
            if bound == header.binding and (row.state == State.EXPIRED or row.blob != name):
                found.append(name)
    return found
