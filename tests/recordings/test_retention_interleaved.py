"""Expiry against everything that happens to a session at the same time: every order of their commit points.

Each actor is a generator that stops at its commit points. Every order in which two of them can pass theirs is
driven, each on a session of its own; then everybody finishes, and no order may leave a session half there.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

import pytest
from django.utils import timezone

from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import (
    holds,
    leases,
    orphans,
    pipeline,
    reconcile,
    sealing,
    sessions,
    shredding,
    tombstones,
    verification,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, State, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, Session
from lucid_sessions.recordings.requeue import put_back
from tests import factories
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)

Actor = Iterator[None]
# It reads; decides; buries, and removes keys and segments; removes blobs; asks for the record.
EXPIRY_STEPS = 5


def expiry(session: Session, world: Installation) -> Actor:
    row = Session.objects.get(pk=session.pk)
    yield
    if not shredding.expire(row, cause="retention"):
        return
    yield
    shredding.bury_chunks(session.pk, world, 100)
    shredding.remove_keys(session.pk, world, 100)
    shredding.clear_spool(session.pk, world, 100)
    yield
    shredding.remove_blobs(session.pk, world, 100)
    yield
    shredding.ask_for_record(session.pk, world, 100)
    yield


def fused_worker(session: Session, world: Installation) -> Actor:
    """Claims a late chunk, stores it under a name that no row knows yet, commits; then the sealer's turn."""
    yield from _worker(session, world, stages=("capture", "compress", "encrypt", "store"))
    sealing.seal(world)
    yield


def store_worker(session: Session, world: Installation) -> Actor:
    """The same for the last stage alone: the row names the blob before it is stored."""
    yield from _worker(session, world, stages=("store",))


def _worker(session: Session, world: Installation, *, stages: tuple[str, ...]) -> Actor:
    late = Chunk.objects.get(session=session, sequence=(1 << 32) + 2)
    claimed = leases.claim(STAGES[stages[0]], [late.pk], spool=world.spool.identity)
    yield
    work = pipeline.Work(claimed[0], world) if claimed else None
    try:
        for stage in stages if work else ():
            pipeline.STEPS[stage](work)
    except LucidError:  # the bytes went while it worked: it dies of that, and nobody cleans up
        work = None
    yield
    if work:
        leases.commit(work.chunk, state=State.STORED, facts=work.facts)
    yield


def dying_intake(session: Session, world: Installation) -> Actor:
    """Writes the row of a segment and dies before it looks at the session again; another scans."""
    path = factories.acknowledge(session, world, counter=3)
    gone = tombstones.is_gone(session.pk)
    yield
    if path.exists() and not gone:
        Chunk.objects.create(
            session=session,
            track="screen",
            sequence=(1 << 32) + 3,
            epoch=1,
            start_us=2_000_000,
            end_us=3_000_000,
            timestamp_ms=1_700_000_003_000,
            spool=world.spool.identity,
            path=str(path.relative_to(world.spool_root)),
            raw_length=len(factories.segment_bytes(3)),
        )
    yield
    factories.file_spool(world)
    yield


def holder(session: Session, _world: Installation) -> Actor:
    row = Session.objects.get(pk=session.pk)
    yield
    if row.status not in tombstones.GONE:
        holds.write(
            row,
            [{"id": "h" * 32, "by": "officer", "who": "1", "why": "case", "at": "2026-01-01T00:00:00+00:00"}],
        )
    yield


def requeuer(session: Session, _world: Installation) -> Actor:
    Chunk.objects.filter(session=session, sequence=(1 << 32) + 2).update(
        quarantined_at=timezone.now(), reason="x"
    )
    yield
    put_back(list(Chunk.objects.filter(session=session, quarantined_at__isnull=False)))
    yield


def orders(first: int, second: int) -> list[str]:
    """Every order of two actors with so many steps each."""
    places = range(first + second)
    return [
        "".join("B" if place in those else "A" for place in places) for those in combinations(places, second)
    ]


def _late(world: Installation, count: int) -> list[Session]:
    """Sealed sessions to each of which one more segment came after the seal."""
    made = [sessions.create("synthetic://64x48", name=f"s{number}") for number in range(count)]
    for session in made:
        factories.take(session, world)
        factories.acknowledge(session, world, counter=1)
        factories.close(session, world, last_counter=1)
    factories.file_spool(world)
    for session in made:
        factories.end(session)
    reconcile.work_inline(world)
    for session in made:
        factories.acknowledge(session, world, counter=2)
    factories.file_spool(world)
    assert set(Session.objects.values_list("status", flat=True)) == {Status.COMPLETED}
    return made


def _drive(
    world: Installation,
    made: list[Session],
    cases: list[str],
    other: Callable[[Session, Installation], Actor],
) -> None:
    for session, order in zip(made, cases, strict=True):
        actors = {"A": expiry(session, world), "B": other(session, world)}
        for letter in order:
            next(actors[letter], None)


def _finish(world: Installation) -> None:
    """Everybody has had their turns, and nothing is left to be done."""
    factories.file_spool(world)
    Chunk.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now())
    for chunk in reconcile.due():
        # One by one: a claim that died is counted, and taken over alone.
        pipeline.run(["capture", "compress", "encrypt", "store"], [chunk.pk], world=world)
        pipeline.run(["store"], [chunk.pk], world=world)
    for _ in range(3):
        sealing.seal(world)
        shredding.tick(world)
        for session in Session.objects.filter(status=Status.EXPIRING):
            shredding.advance(session, world=world)
    sealing.seal(world)
    orphans.collect(world, older_than_seconds=-1)
    world.scratch.sweep(older_than_seconds=-1)


def _check(world: Installation, made: list[Session], cases: list[str]) -> dict[str, set[str]]:
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
    made = _late(world, len(cases))
    _drive(world, made, cases, fused_worker)
    _finish(world)
    outcomes = _check(world, made, cases)
    # Expiry loses only to a seal between its reading and its decision.
    assert set(outcomes) == {Status.DELETED, Status.COMPLETED}
    assert all(order.index("A") < order.rindex("B") for order in outcomes[Status.COMPLETED])


def test_against_a_worker_of_the_last_stage_alone(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 3)
    made = _late(world, len(cases))
    for chunk in Chunk.objects.filter(state=State.RECORDED):
        pipeline.run(["capture", "compress", "encrypt"], [chunk.pk], world=world)
    _drive(world, made, cases, store_worker)
    _finish(world)
    assert set(_check(world, made, cases)) == {Status.DELETED}


def test_against_a_segment_that_comes_late(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 3)
    made = _late(world, len(cases))
    _drive(world, made, cases, dying_intake)
    _finish(world)
    assert set(_check(world, made, cases)) == {Status.DELETED}


def test_against_a_hold_exactly_one_wins(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 2)
    made = _late(world, len(cases))
    _drive(world, made, cases, holder)
    _finish(world)
    outcomes = _check(world, made, cases)
    held = {session.status for session in Session.objects.all() if session.active_holds}
    assert (set(outcomes), held) == ({Status.DELETED, Status.COMPLETED}, {Status.COMPLETED})
    for order in outcomes[Status.COMPLETED]:
        assert order.rindex("B") < [place for place, letter in enumerate(order) if letter == "A"][1]


def test_against_a_requeue(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, 2)
    made = _late(world, len(cases))
    _drive(world, made, cases, requeuer)
    _finish(world)
    assert set(_check(world, made, cases)) == {Status.DELETED}


def test_two_that_expire_the_same_session_do_it_once(world: Installation) -> None:
    cases = orders(EXPIRY_STEPS, EXPIRY_STEPS)[::12]
    made = _late(world, len(cases))
    _drive(world, made, cases, expiry)
    _finish(world)
    assert set(_check(world, made, cases)) == {Status.DELETED}
