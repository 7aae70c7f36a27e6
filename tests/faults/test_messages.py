"""Messages that come twice, late, in another order, from the dead, or were never messages."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from lucid_sessions.recordings import leases, pipeline, setbacks
from lucid_sessions.recordings.lifecycle import STAGES, State
from lucid_sessions.recordings.models import Chunk
from tests import factories
from tests.faults.ground import Ground, trials
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [name for name in STAGES if name != "anchor"]


@pytest.mark.fault(11, "each message delivered 2 to 5 times, at once and reordered")
def test_messages_that_come_again_and_out_of_order_count_once(ground: Ground) -> None:
    for _ in range(trials(1000, 50)):
        session = ground.session()
        ids = ground.ids(session)
        # The fused message, and those of every single stage, in any order, some of them at the same time.
        messages = [STEPS, *([stage] for stage in STEPS)] * ground.rng.randint(2, 5)
        ground.rng.shuffle(messages)
        ground.strike(session)
        _deliver(ground, ids, messages, at_once=ground.rng.randint(2, 4))
        ground.tick()
        if ground.trials % 100 == 0:
            ground.remember_checkpoint()
    ground.finish()


def _deliver(ground: Ground, ids: list[UUID], messages: list[list[str]], *, at_once: int) -> None:
    def consume(mine: list[list[str]]) -> None:
        for stages in mine:
            pipeline.run(stages, ids, world=ground.world)
        connection.close()

    consumers = [threading.Thread(target=consume, args=(messages[n::at_once],)) for n in range(at_once)]
    for consumer in consumers:
        consumer.start()
    for consumer in consumers:
        consumer.join(PATIENCE)


@pytest.mark.fault(
    11, "a zombie comes back with a stale fence, after and in the middle of its successor's work"
)
def test_a_zombie_neither_commits_nor_quarantines(ground: Ground) -> None:
    for number in range(trials(1000, 50)):
        session = ground.session()
        (chunk,) = ground.ids(session)
        zombie = _work_of_a_sleeper(ground, chunk)
        ground.strike(session)
        awake = [_commits_late, _fails_late, _commits_in_between, _fails_in_between][number % 4]
        if awake(ground, zombie):
            ground.extra.duplicated.append(f"trial {number}: a stale claim was accepted ({awake.__name__})")
        ground.tick()
    ground.finish()


def _work_of_a_sleeper(ground: Ground, chunk: UUID) -> pipeline.Work:
    """All steps done by a worker that slept through its lease before the commit; its blob is stored."""
    (claimed,) = leases.claim(STAGES["capture"], [chunk], spool=ground.world.spool.identity)
    work = pipeline.Work(claimed, ground.world)
    for stage in STEPS:
        pipeline.STEPS[stage](work)
    Chunk.objects.filter(pk=chunk).update(lease_until=timezone.now() - timedelta(seconds=1))
    return work


def _commits_late(ground: Ground, zombie: pipeline.Work) -> bool:
    pipeline.run(STEPS, [zombie.chunk.pk], world=ground.world)
    return leases.commit(zombie.chunk, state=State.STORED, facts=zombie.facts)


def _fails_late(ground: Ground, zombie: pipeline.Work) -> bool:
    pipeline.run(STEPS, [zombie.chunk.pk], world=ground.world)
    setbacks.record(zombie.chunk, stage="store", error=setbacks.Final("a zombie's word"))
    return Chunk.objects.filter(pk=zombie.chunk.pk, quarantined_at__isnull=False).exists()


def _commits_in_between(ground: Ground, zombie: pipeline.Work) -> bool:
    return _in_between(
        ground, zombie, lambda: leases.commit(zombie.chunk, state=State.STORED, facts=zombie.facts)
    )


def _fails_in_between(ground: Ground, zombie: pipeline.Work) -> bool:
    def fail() -> bool:
        setbacks.record(zombie.chunk, stage="store", error=setbacks.Final("a zombie's word"))
        return Chunk.objects.filter(pk=zombie.chunk.pk, quarantined_at__isnull=False).exists()

    return _in_between(ground, zombie, fail)


def _in_between(ground: Ground, zombie: pipeline.Work, awake: Callable[[], bool]) -> bool:
    """Whether the zombie was heard while its successor worked, whose result counts."""
    (claimed,) = leases.claim(STAGES["capture"], [zombie.chunk.pk], spool=ground.world.spool.identity)
    work = pipeline.Work(claimed, ground.world)
    for stage in STEPS:
        pipeline.STEPS[stage](work)
    heard = awake()
    return not leases.commit(claimed, state=State.STORED, facts=work.facts) or heard


@pytest.mark.fault(10, "garbage spool files and markers")
def test_garbage_in_the_spool_hides_nothing_and_is_kept(ground: Ground) -> None:
    good = ground.session(segments=2)
    directory = ground.world.spool.take_directory(good.pk, 1)
    thrown = 0
    for number in range(trials(10_000, 450)):
        name, content = _garbage(ground, good.pk.hex, number)
        if not (directory / name).exists():
            (directory / name).write_bytes(content)
            thrown += 1
        ground.trials += 1
    (directory / f"{good.pk.hex}_screen_{(1 << 32) + 7:016x}_1_1_2_3.mp4").mkdir()
    (directory / f"{good.pk.hex}_screen_{(1 << 32) + 8:016x}_1_1_2_3.mp4").symlink_to("/etc/hostname")
    late = ground.acknowledge(good, 3)
    factories.file_spool(ground.world)
    assert late.exists()
    damaged = Chunk.objects.filter(session=good).exclude(sequence__in=[(1 << 32) + n for n in (1, 2, 3)])
    for row in damaged:
        ground.acknowledged[row.session_id, row.track, row.sequence] = b""
        ground.quarantined.add((row.session_id, row.track, row.sequence))
    ground.strike(good)
    ground.finish()
    kept = len(list((ground.world.spool_root / "quarantine").iterdir()))
    left = len([path for path in directory.iterdir() if path.suffix in (".mp4", ".json", ".part", ".txt")])
    assert kept + left >= thrown
    assert not (ground.world.spool_root / "quarantine" / late.name).exists()


def _garbage(ground: Ground, session: str, number: int) -> tuple[str, bytes]:
    rng = ground.rng
    junk = rng.randbytes(rng.randint(0, 300))
    counter = 10 + number % 40
    stems = [
        (f"{session}_screen_{(1 << 32) + counter:016x}_1_1_2_3.mp4", junk),  # a segment without a video
        (f"{session}_screen_ffffffffffffffff_1_1_2_{number}.mp4", junk),  # no row holds this number
        (f"{session}_screen_{(9 << 32) + 1:016x}_1_1_2_{number}.mp4", junk),  # another take's
        (f"{rng.randbytes(16).hex()}_screen_{(1 << 32) + 1:016x}_1_1_2_3.mp4", junk),  # another session's
        (f"{session}_screen_{(1 << 32) + 9:016x}_99999999999999_1_2_{number}.mp4", junk),
        (f"{session}_screen_{(1 << 32) + 9:016x}_1_9_2_{number}.mp4", junk),  # ends before it begins
        (f"gap_screen_{number}.json", junk),
        (f"gap_screen_{number}.json", b'{"session": "%s", "from_us": 1e400}' % session.encode()),
        (f"closed_audio{number % 9}.json", b'{"last_counter": 4000000000, "take": 1}'),
        (f"closed_x{number % 9}.json", _closed(session, f"x{number % 9}", last=4_000_000_000)),
        (f"closed_y{number % 9}.json", _closed(session, f"y{number % 9}", last='"many"')),
        (f"{number}.part", junk),
        (f"{number}.txt", junk),
        (f"{session}_screen_{number}.mp4", junk),
    ]
    return stems[number % len(stems)]


def _closed(session: str, track: str, *, last: object) -> bytes:
    return (
        f'{{"session": "{session}", "track": "{track}", "take": 1, "last_counter": {last}, "end_us": 1,'
        ' "reason": "", "ending": "ended"}'
    ).encode()
