"""Actors that stop at their commit points, so that a test can drive every order in which they pass them.

Each is a generator over one session. After any order `settle` lets everybody finish; no order may leave a
session half there.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from django.db.models import F
from django.utils import timezone

from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import (
    clearing,
    holds,
    intake,
    leases,
    orphans,
    pipeline,
    reconcile,
    sealing,
    shredding,
    tombstones,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, UNFINISHED, State, Status
from lucid_sessions.recordings.models import Chunk, Session
from lucid_sessions.recordings.requeue import put_back
from tests import factories

Actor = Iterator[None]
# It reads; decides; buries, and removes keys and segments; removes blobs; asks for the record.
EXPIRY_STEPS = 5


def expiry(session: Session, world: Installation, *, cause: str = "retention") -> Actor:
    row = Session.objects.get(pk=session.pk)
    yield
    if not shredding.expire(row, cause=cause):
        return
    yield
    shredding.bury_chunks(session.pk, world, 100)
    shredding.remove_keys(session.pk, world, 100)
    clearing.clear_spool(session.pk, world, 100)
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
    # Another scanner comes by; of all the sessions it would look at, this one is what the order is about.
    intake.Intake(world.spool).scan(session.pk)
    yield


def holder(session: Session, _world: Installation) -> Actor:
    row = Session.objects.get(pk=session.pk)
    yield
    if row.status not in tombstones.GONE:
        holds.write(
            row,
            [
                {
                    "id": row.pk.hex,
                    "by": "officer",
                    "who": "1",
                    "why": "case",
                    "at": "2026-01-01T00:00:00+00:00",
                }
            ],
        )
    yield


def requeuer(session: Session, _world: Installation) -> Actor:
    late = Chunk.objects.filter(session=session, sequence=(1 << 32) + 2, state__in=UNFINISHED)
    late.update(quarantined_at=timezone.now(), reason="x", token="", fence=F("fence") + 1)
    yield
    put_back(list(Chunk.objects.filter(session=session, quarantined_at__isnull=False)))
    yield


def sealer(_session: Session, world: Installation) -> Actor:
    """Comes round twice."""
    for _ in range(2):
        sealing.seal(world)
        yield


def orders(first: int, second: int) -> list[str]:
    """Every order of two actors with so many steps each."""
    places = range(first + second)
    return [
        "".join("B" if place in those else "A" for place in places) for those in combinations(places, second)
    ]


def late(world: Installation, count: int) -> list[Session]:
    """Sealed sessions to each of which one more segment came after the seal."""
    made = [factories.ready("synthetic://64x48", name=f"s{number}") for number in range(count)]
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
    rows = Session.objects.filter(pk__in=[session.pk for session in made])
    assert set(rows.values_list("status", flat=True)) == {Status.COMPLETED}
    return made


def drive(
    world: Installation,
    made: list[Session],
    cases: list[str],
    other: Callable[[Session, Installation], Actor],
) -> None:
    """Each session through its order of expiry (A) and another actor (B)."""
    for session, order in zip(made, cases, strict=True):
        interleave({"A": expiry(session, world), "B": other(session, world)}, order)


def interleave(actors: Mapping[str, Actor], order: str) -> None:
    """Each letter lets its actor go on to its next commit point."""
    for letter in order:
        next(actors[letter], None)


def settle(world: Installation) -> None:
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
