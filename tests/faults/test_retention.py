"""Retention, holds, shredding, requeues and late segments against processing: all orders of their commits."""

from collections.abc import Callable
from functools import partial

import pytest

from lucid_sessions.recordings import pipeline
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, Session
from tests import factories
from tests.faults.ground import Ground, trials
from tests.recordings import archived
from tests.recordings.interleaving import (
    Actor,
    dying_intake,
    expiry,
    fused_worker,
    holder,
    interleave,
    late,
    orders,
    requeuer,
    sealer,
    settle,
    store_worker,
)

pytestmark = pytest.mark.django_db(transaction=True)

# So many sessions go through their orders before everybody may finish.
AT_ONCE = 50
# Who a letter is, and at how many commit points it stops.
ACTORS: dict[str, tuple[Callable[[Session, Installation], Actor], int]] = {
    "A": (expiry, 5),
    "W": (fused_worker, 4),
    "T": (store_worker, 3),
    "L": (dying_intake, 3),
    "R": (requeuer, 2),
    "S": (sealer, 2),
    "H": (holder, 2),
    "X": (partial(expiry, cause="shred"), 5),
}


def _pairs() -> list[str]:
    """Every order of expiry with each of those that process."""
    return [
        order.replace("B", other) for other in "WTLR" for order in orders(ACTORS["A"][1], ACTORS[other][1])
    ]


def _any_order(ground: Ground, who: str) -> str:
    turns = [letter for letter in who for _ in range(ACTORS[letter][1])]
    ground.rng.shuffle(turns)
    return "".join(turns)


@pytest.mark.fault(12, "retention against processing: orders of their commit points, two actors and three")
@pytest.mark.timeout(3600)
def test_retention_and_processing_never_leave_a_session_half_there(ground: Ground) -> None:
    wanted, pairs = trials(1000, 100), _pairs()
    cases = pairs if len(pairs) < wanted else ground.rng.sample(pairs, wanted * 2 // 3)
    cases += [_any_order(ground, ("AWL", "AWS")[n % 2]) for n in range(wanted - len(cases))]
    _drive_all(ground, cases)
    ground.finish()


@pytest.mark.fault(15, "hold, retention, shred, requeue and a late chunk after the seal, all at once")
@pytest.mark.timeout(3600)
def test_holds_retention_shredding_requeues_and_late_chunks_all_at_once(ground: Ground) -> None:
    _drive_all(ground, [_any_order(ground, "AXHRL") for _ in range(trials(1000, 100))])
    ground.finish()


def _drive_all(ground: Ground, cases: list[str]) -> None:
    for start in range(0, len(cases), AT_ONCE):
        some = cases[start : start + AT_ONCE]
        made = late(ground.world, len(some))
        for session, order in zip(made, some, strict=True):
            if "T" in order:
                pipeline.run(["capture", "compress", "encrypt"], ground.ids(session)[1:], world=ground.world)
            interleave({who: ACTORS[who][0](session, ground.world) for who in set(order)}, order)
            ground.strike()
        settle(ground.world)
        ground.remember_checkpoint()
        for session, order in zip(made, some, strict=True):
            _judge(ground, session, order)


def _judge(ground: Ground, session: Session, order: str) -> None:
    """It is gone but for its record, or there with all that was acknowledged; if held, it is there."""
    session.refresh_from_db()
    states = set(Chunk.objects.filter(session=session).values_list("state", flat=True))
    if session.status == Status.DELETED:
        records = LedgerRecord.objects.filter(key=f"shredded:{session.pk}").count()
        rest = archived.left(session, ground.world)
        if (states, rest, records) != ({State.EXPIRED}, archived.NOTHING, 1):
            ground.extra.undetected.append(f"{order}: half deleted: {states}, {rest}, {records} records")
        if session.active_holds:
            ground.extra.lost.append(f"{order}: held, and deleted")
        return
    if session.status != Status.COMPLETED:
        ground.extra.unfinished.append(f"{order}: {session.status}")
    for counter in (1, 2, 3) if "L" in order else (1, 2):
        ground.note(session, counter, factories.segment_bytes(counter))
