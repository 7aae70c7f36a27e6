"""Expiry against everything that happens to a session at the same time: every order of their commit points.

Each actor is a generator that stops at its commit points. Every order in which two of them can pass theirs is
driven, each on a session of its own; then everybody finishes, and no order may leave a session half there.
"""

import pytest

from lucid_sessions.recordings import pipeline, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, Session
from tests.recordings import archived
from tests.recordings.interleaving import (
    EXPIRY_STEPS,
    drive,
    dying_intake,
    expiry,
    fused_worker,
    holder,
    late,
    orders,
    requeuer,
    settle,
    store_worker,
)

pytestmark = pytest.mark.django_db(transaction=True)


def check(world: Installation, made: list[Session], cases: list[str]) -> dict[str, set[str]]:
    """Which orders ended how; no session is half there, and nothing lies about that no row claims."""
    outcomes: dict[str, set[str]] = {}
    for session, order in zip(made, cases, strict=True):
        session.refresh_from_db()
        states = set(Chunk.objects.filter(session=session).values_list("state", flat=True))
        outcomes.setdefault(session.status, set()).add(order)
        if session.status == Status.DELETED:
            assert states == {State.EXPIRED}, order
            assert archived.left(session, world) == archived.NOTHING, order
            assert LedgerRecord.objects.filter(key=f"shredded:{session.pk}").count() == 1, order
        else:
            assert (session.status, states) == (Status.COMPLETED, {State.ANCHORED}), order
            assert archived.left(session, world).keys > 0, order
            assert verification.verify(session).findings == [], order
    claimed = Chunk.objects.exclude(state=State.EXPIRED).values_list("blob", flat=True)
    assert set(world.blobs.names()) == set(claimed)
    assert list(world.scratch.root.glob("*")) == []
    return outcomes


def test_against_a_worker_and_the_sealer(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 4)
    made = late(world, len(cases))
    drive(world, made, cases, fused_worker)
    settle(world)
    outcomes = check(world, made, cases)
    # Expiry loses only to a seal between its reading and its decision.
    assert set(outcomes) == {Status.DELETED, Status.COMPLETED}
    assert all(order.index("A") < order.rindex("B") for order in outcomes[Status.COMPLETED])


def test_against_a_worker_of_the_last_stage_alone(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 3)
    made = late(world, len(cases))
    for chunk in Chunk.objects.filter(state=State.RECORDED):
        pipeline.run(["capture", "compress", "encrypt"], [chunk.pk], world=world)
    drive(world, made, cases, store_worker)
    settle(world)
    assert set(check(world, made, cases)) == {Status.DELETED}


def test_against_a_segment_that_comes_late(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 3)
    made = late(world, len(cases))
    drive(world, made, cases, dying_intake)
    settle(world)
    assert set(check(world, made, cases)) == {Status.DELETED}


def test_against_a_hold_exactly_one_wins(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 2)
    made = late(world, len(cases))
    drive(world, made, cases, holder)
    settle(world)
    outcomes = check(world, made, cases)
    held = {session.status for session in Session.objects.all() if session.active_holds}
    assert (set(outcomes), held) == ({Status.DELETED, Status.COMPLETED}, {Status.COMPLETED})
    for order in outcomes[Status.COMPLETED]:
        assert order.rindex("B") < [place for place, letter in enumerate(order) if letter == "A"][1]


def test_against_a_requeue(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 2)
    made = late(world, len(cases))
    drive(world, made, cases, requeuer)
    settle(world)
    assert set(check(world, made, cases)) == {Status.DELETED}


def test_two_that_expire_the_same_session_do_it_once(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, EXPIRY_STEPS)[::12]
    made = late(world, len(cases))
    drive(world, made, cases, expiry)
    settle(world)
    assert set(check(world, made, cases)) == {Status.DELETED}
