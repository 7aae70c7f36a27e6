"""What remains to be done is a question to the database: find it, and tell the workers again.

Runs every five seconds from beat, and as `manage.py reconcile --loop`, which needs no broker: where no
hint can be sent it does the work itself. Doubled or delayed ticks are harmless.
"""

import time
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import close_old_connections
from django.db.models import Q
from django.utils import timezone

from lucid_sessions.errors import LucidError
from recorder.errors import RecorderError

from . import audit_batches, hints, intake, jobs, leases, pipeline, sealing, setbacks
from .installation import Installation
from .lifecycle import LIVE, STAGES, UNFINISHED, Status, stage_for, stages_from
from .models import Chunk, Session
from .webhooks import deliveries

log = structlog.get_logger(__name__)

TICK_SECONDS = 5.0
MOST_A_TICK = 1000
# A hint that was sent this long ago without effect is taken for lost.
HINT_LASTS = timedelta(seconds=20)
# Just after start-up the leases of workers that are still alive look abandoned. Those of the dead were ended.
GRACE_SECONDS = 10.0

_started = time.monotonic()


def due(
    limit: int = MOST_A_TICK,
    *,
    without: Collection[tuple[str, str]] = (),
    up_seconds: float | None = None,
) -> list[Chunk]:
    """Unfinished chunks that nobody holds, may be tried now and were not hinted lately; oldest first.

    `without`: the (state, spool) pairs that are passed over. Chunks of sessions whose processing is paused
    are, too: none of them may hide what could go on. `up_seconds`: how long this process has been running.
    """
    now = timezone.now()
    waiting = Chunk.objects.filter(state__in=UNFINISHED, quarantined_at__isnull=True)
    waiting = waiting.filter(leases.past("next_attempt_at", now)).filter(leases.past("lease_until", now))
    waiting = waiting.filter(
        Q(hinted_at__isnull=True) | Q(hinted_at__lte=now - HINT_LASTS) | Q(hinted_at__gt=now)
    )
    if (time.monotonic() - _started if up_seconds is None else up_seconds) < GRACE_SECONDS:
        waiting = waiting.filter(leases.unheld())
    paused = Session.objects.filter(processing_paused=True, status__in=(*LIVE, Status.PROCESSING))
    if held := list(paused.values_list("pk", flat=True)):
        waiting = waiting.exclude(session_id__in=held)
    for state, spool in without:
        waiting = waiting.exclude(state=state, spool=spool)
    return list(waiting.order_by("created_at", "pk")[:limit])


def tick() -> int:
    """How many chunks were announced again; a queue that is long enough gets no more."""
    publisher, told = hints.publisher(), 0
    full: dict[tuple[str, str], bool] = {}
    while publisher is not None and told < MOST_A_TICK:
        chunks = due(MOST_A_TICK - told, without=[key for key, is_full in full.items() if is_full])
        new = {(chunk.state, chunk.spool) for chunk in chunks} - set(full)
        try:
            full |= {key: _is_full(publisher, *key) for key in new}
        except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the next tick asks again
            log.warning("the broker does not answer", reason=str(error))
            break
        told += hints.hint((one for one in chunks if not full[one.state, one.spool]), patiently=True)
        if not any(full[key] for key in new):
            break
    return told


def _is_full(publisher: hints.Publisher, state: str, spool: str) -> bool:
    stage = stage_for(state)
    return stage is None or publisher.depth(stage.name, spool=spool) >= settings.PIPELINE_BUFFER_SIZE


def work_inline(world: Installation) -> int:
    """How many chunks were brought forward by this process itself, without any broker."""
    setbacks.let_go_of_the_dead(world.presence)
    chunks = due()
    for group in hints.groups(chunks):
        stage = stage_for(group[0].state)
        if stage is None or stage.name == "anchor":
            continue
        stages = [name for name in stages_from(stage.name) if name != "anchor"]
        pipeline.run(stages, [chunk.pk for chunk in group], world=world)
    audit_batches.tick(world)
    sealing.seal(world)
    jobs.tick()
    deliveries.soon()
    return len(chunks)


def loop(world: Installation, *, rounds: int | None = None) -> None:
    """File the spool and work inline until `rounds` are over (None: for ever); an outage is waited out."""
    scanner = intake.Intake(world.spool)
    done = 0
    while rounds is None or done < rounds:
        # Each by itself: what cannot be filed now must not keep from its way what is filed.
        for act in (scanner.scan, partial(work_inline, world), scanner.release):
            _wait_out(act)
        done += 1
        if rounds is None or done < rounds:
            time.sleep(TICK_SECONDS)


def _wait_out(act: Callable[[], object]) -> None:
    try:
        act()
    except (LucidError, RecorderError, DatabaseFailure, OSError) as error:
        log.warning("reconcile waits", reason=str(error))
        close_old_connections()


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
