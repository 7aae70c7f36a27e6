"""Recorders that die, hosts that start again or go silent: what was acknowledged stays, a loss is a gap."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from lucid_sessions.recordings import intake, reconcile, sessions
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.lifecycle import Desired, Status
from lucid_sessions.recordings.models import Chunk, Gap, Session, Take
from recorder.names import ClosedMarker
from recorder.spool import SegmentName, sequence_of
from recorder.supervisor import Event
from tests import factories
from tests.faults.ground import Ground, trials
from tests.faults.load import children_of, kill_group
from tests.tasks.workers import environment
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

MOST_LOST_MS = 1500
CONFIG = {"resolution": "320x180", "frame_rate": 10, "quality": "low", "segment_seconds": 1.0}


class Host:
    """`manage.py recorder` on this test's spool and database, as often as it has to be started."""

    def __init__(self, ground: Ground) -> None:
        self.env = environment(ground.world, "redis://127.0.0.1:1/0", LOG_LEVEL="WARNING")
        self.log = ground.home / "recorder.log"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", "recorder", "--host", "a"]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, env=self.env, stdout=out, stderr=out, start_new_session=True
            )
        return self.process


@contextlib.contextmanager
def recording(ground: Ground) -> Iterator[tuple[Host, Session]]:
    """A session that a recorder of its own, which has no Redis, is told to record."""
    session = sessions.create("synthetic://320x180", name="desk", recording_config=CONFIG)
    sessions.start(session)
    host = Host(ground)
    try:
        yield host, session
    finally:
        kill_group(host.process)


def await_new_take(session: Session, *, after: int) -> int:
    """A take later than that one records, and has filed a segment; its number."""
    chunks = Chunk.objects.filter(session=session, sequence__gte=(after + 1) << 32)
    until(chunks.exists)
    return max(chunks.values_list("sequence", flat=True)) >> 32


@pytest.mark.fault(13, "recorder child, supervisor SIGKILLed, host rebooted; at most 1.5 s lost, each a gap")
@pytest.mark.timeout(1800)
def test_killed_recorders_lose_little_and_say_so(ground: Ground) -> None:
    deaths: list[int] = []
    with recording(ground) as (host, session):
        take = await_new_take(session, after=0)
        for number in range(trials(100, 2)):
            time.sleep(ground.rng.uniform(0, 1))
            deaths.append(time.time_ns() // 1_000_000)
            if number % 2 == 0:
                os.kill(_child_of(host, session), signal.SIGKILL)
            else:
                kill_group(host.process)
                if number % 4 == 3:
                    _forget_the_boot(ground, session)
                host.start()
            ground.strike()
            died = time.monotonic()
            take = await_new_take(session, after=take)
            # It is recorded again, and what is recorded is filed.
            ground.recoveries.append(time.monotonic() - died)
        session.refresh_from_db()
        sessions.stop(session)
        until(lambda: Session.objects.get(pk=session.pk).status == Status.PROCESSING)
    note_acknowledged(ground)
    ground.struck[session.pk] = time.monotonic()
    _compare_with_timeline(ground, session, deaths)
    ground.finish()


def _child_of(host: Host, session: Session) -> int:
    found: list[int] = []
    until(lambda: bool(found.extend(children_of(host.process.pid)) or found))
    assert session.pk
    return found[-1]


def _forget_the_boot(ground: Ground, session: Session) -> None:
    """As if the host had been started anew: no take's monotonic clock means anything any more."""
    for _, _, directory in ground.world.spool.takes_of(session.pk):
        stamp = directory / "take.json"
        if stamp.exists():
            stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "boot_id": "another boot"}))


def note_acknowledged(ground: Ground) -> None:
    for path, name in ground.world.spool.segments():
        ground.acknowledged[name.session, name.track, name.sequence] = path.read_bytes()


def _compare_with_timeline(ground: Ground, session: Session, deaths: list[int]) -> None:
    """Each death cost at most 1.5 s of what was recorded before it; every hole is a gap, with a reason."""
    intake.Intake(ground.world.spool).scan()
    chunks = list(Chunk.objects.filter(session=session, track="screen").order_by("sequence"))
    ends = [chunk.timestamp_ms + (chunk.end_us - chunk.start_us) // 1000 for chunk in chunks]
    for death in deaths:
        last = max((end for end in ends if end <= death + 100), default=0)
        if death - last > MOST_LOST_MS:
            ground.extra.lost.append(f"{death - last} ms before a kill")
    gaps = list(Gap.objects.filter(session=session, track="screen"))
    for one, following in itertools.pairwise(chunks):
        if one.end_us >= following.start_us:
            continue
        covered = [g for g in gaps if g.from_us <= one.end_us + 1 and g.to_us >= following.start_us - 1]
        if not covered or not covered[0].reason:
            ground.extra.undetected.append(f"a hole at {one.end_us} us is no gap")


@pytest.mark.fault(
    13, "another host takes over from one that is cut off, which returns with unrecorded segments"
)
def test_a_host_that_returns_adds_its_segments_and_ends_nobodys_recording(ground: Ground) -> None:
    first = ground.world
    second = replace(first, spool_root=ground.home / "spool-b")
    a = DatabaseView(first.spool, intake.Intake(first.spool), host="a")
    b = DatabaseView(second.spool, intake.Intake(second.spool), host="b")
    for _ in range(trials(100, 5)):
        session = factories.ready("synthetic://64x48", name=f"trial {ground.trials}")
        Session.objects.filter(pk=session.pk).update(status=Status.STARTING, desired=Desired.RECORD)
        tenure = a.claim(session.pk)
        assert tenure is not None
        assert tenure.take == 1
        a.report(session.pk, 1, Event("recording"))
        ground.acknowledge(session, 1)
        a.intake.scan()
        # Cut off: it goes on into its spool, and its lease runs out.
        ground.acknowledge(session, 2)
        assert b.claim(session.pk) is None, "not while its lease lasts"
        Take.objects.filter(session=session).update(lease_until=timezone.now() - timedelta(seconds=1))
        taken = b.claim(session.pk)
        assert taken is not None
        assert taken.take == 2
        b.report(session.pk, 2, Event("recording"))
        _acknowledge_at_b(ground, second, session, taken.take)
        # Back: the session is not its own any more; its child is told to stop, and says so.
        assert session.pk not in {one.session for one in a.wanted()}
        factories.close(session, first, last_counter=2)
        a.report(session.pk, 1, Event("ended", "stopped"))
        a.beat()
        session.refresh_from_db()
        if (session.status, session.desired) != (Status.RECORDING, Desired.RECORD):
            ground.extra.lost.append(f"the second host's recording was ended by the first: {session.status}")
        b.report(session.pk, 2, Event("ended", "stopped"))
        ground.strike(session)
        reconcile.work_inline(second)
        reconcile.work_inline(first)
        ground.note_recoveries()
    ground.finish()


def _acknowledge_at_b(ground: Ground, second: object, session: Session, take: int) -> None:
    content = factories.segment_bytes(3)
    spool = second.spool  # type: ignore[attr-defined]
    directory = spool.make_take(session.pk, take)
    name = SegmentName(session.pk, "screen", sequence_of(take, 1), 1, 2_000_000, 3_000_000, 1_700_000_003_000)
    part = directory / name.part_filename
    part.write_bytes(content)
    spool.commit(part, name)
    spool.write_closed(ClosedMarker(session.pk, "screen", take, 1, 3_000_000, "stopped"))
    ground.acknowledged[session.pk, "screen", name.sequence] = content
