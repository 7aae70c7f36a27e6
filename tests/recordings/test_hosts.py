"""Several recorder hosts: each speaks for its own takes, and none ends what another records."""

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from lucid_sessions.errors import Refused
from lucid_sessions.recordings import intake, lost_hosts, reconcile, scrub, sessions, shredding, silence
from lucid_sessions.recordings.completeness import NEVER_CLOSED
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Desired, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, RecorderHost, Session, Take
from lucid_sessions.recordings.verification import verify
from recorder.clock import boot_id, boot_ms
from recorder.continuation import account_for_the_end
from recorder.names import ClosedMarker
from recorder.recovery import recover
from recorder.supervisor import NO_TAKE, Event, Load
from recorder.take import Stamp
from tests import factories
from tests.factories import SEGMENT_US
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


def _host(world: Installation, name: str) -> DatabaseView:
    return DatabaseView(world.spool, intake.Intake(world.spool), host=name)


@pytest.fixture
def a(world: Installation) -> DatabaseView:
    return _host(world, "a")


@pytest.fixture
def b(world: Installation, tmp_path: Path) -> DatabaseView:
    return _host(replace(world, spool_root=tmp_path / "other spool"), "b")


@pytest.fixture
def session(world: Installation) -> Session:
    session = sessions.create("synthetic://64x48", name="desk")
    return sessions.start(session)


def _path_of(chunk: Chunk, world: Installation) -> Path:
    return world.blobs_root / chunk.blob[:2] / chunk.blob[2:4] / chunk.blob


def _spoil(chunk: Chunk, world: Installation) -> bytes:
    """The chunk's blob as it was, which is bad now; scrub has seen it."""
    path = _path_of(chunk, world)
    right = path.read_bytes()
    path.write_bytes(b"rotten")
    list(scrub.run(world))
    chunk.refresh_from_db()
    return right


def _silence(session: Session, *, by: timedelta = timedelta(seconds=-1)) -> None:
    Take.objects.filter(session=session, ended_at__isnull=True).update(lease_until=timezone.now() + by)


def test_a_host_is_left_alone_while_its_lease_lasts(
    a: DatabaseView, b: DatabaseView, session: Session
) -> None:
    assert a.claim(session.pk) is not None
    assert b.claim(session.pk) is None
    assert session.pk not in {one.session for one in b.wanted()}


@pytest.mark.parametrize("by", [timedelta(seconds=-1), timedelta(days=1)])
def test_a_silent_host_and_one_whose_clock_ran_ahead_are_followed(
    a: DatabaseView, b: DatabaseView, session: Session, by: timedelta
) -> None:
    a.claim(session.pk)
    _silence(session, by=by)
    tenure = b.claim(session.pk)
    assert tenure is not None
    assert tenure.take == 2


@pytest.fixture
def pass_seconds(
    a: DatabaseView, b: DatabaseView, session: Session, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], None]:
    """Lets time pass after a standstill, by the clock that hosts listen by.

    The database was away, or all machines stood still: nobody could renew a lease, and b looks first.
    """
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(silence, "time", clock)
    a.claim(session.pk)
    b.wanted()
    clock.now += silence.PATIENCE_SECONDS + 1
    _silence(session)
    return lambda seconds: setattr(clock, "now", clock.now + seconds)


def test_who_could_not_look_gives_the_others_time_to_be_heard(
    a: DatabaseView, b: DatabaseView, session: Session, pass_seconds: Callable[[float], None]
) -> None:
    assert session.pk not in {one.session for one in b.wanted()}
    assert b.claim(session.pk) is None
    a.beat()
    pass_seconds(silence.PATIENCE_SECONDS - 1)
    assert b.claim(session.pk) is None
    pass_seconds(2)
    assert b.claim(session.pk) is None


def test_a_host_that_stood_still_is_listened_to_before_it_is_given_up(
    a: DatabaseView, session: Session
) -> None:
    a.claim(session.pk)
    _silence(session)
    with ThreadPoolExecutor(1) as beside:
        beating = beside.submit(_beat_soon, a)
        said = StringIO()
        with pytest.raises(SystemExit):
            call_command("lost_host", a.spool.identity, stderr=said)
        beating.result()
    assert "it is not lost" in said.getvalue()
    assert Take.objects.get(session=session).ended_at is None


def _beat_soon(host: DatabaseView) -> None:
    time.sleep(1.0)
    host.beat()
    connection.close()


def test_who_stays_silent_after_a_standstill_is_followed(
    b: DatabaseView, session: Session, pass_seconds: Callable[[float], None]
) -> None:
    wanted = []
    for seconds in (0, silence.PATIENCE_SECONDS - 1, 2):
        pass_seconds(seconds)
        wanted.append(session.pk in {one.session for one in b.wanted()})
    assert wanted == [False, False, True]
    assert b.claim(session.pk) is not None


def test_a_take_that_is_followed_says_why_it_ended(a: DatabaseView, session: Session) -> None:
    a.claim(session.pk)
    a.spool.write_closed(ClosedMarker(session.pk, "screen", 1, 0, 0, "the server went away", "interrupted"))
    a.claim(session.pk)
    a.claim(session.pk)
    reasons = Take.objects.filter(session=session).order_by("number").values_list("reason", flat=True)
    assert list(reasons) == ["the server went away", "its recorder died", ""]


def test_what_is_missing_when_a_session_is_stopped_is_in_its_seal(
    a: DatabaseView, session: Session, world: Installation
) -> None:
    a.claim(session.pk)
    a.report(session.pk, 1, Event("recording"))
    factories.acknowledge(session, world, counter=1)
    Stamp(boot_id(), 0, 0, "a").write(a.spool.take_directory(session.pk, 1))
    end_us = SEGMENT_US
    a.spool.write_closed(ClosedMarker(session.pk, "screen", 1, 1, end_us, "it was lost", "interrupted"))
    session.refresh_from_db()
    sessions.stop(session)
    (wanted,) = a.wanted()
    assert account_for_the_end(a.spool, wanted, take=1) == "it was lost"
    a.report(session.pk, 1, Event("ended", "stopped"))
    reconcile.work_inline(world)
    session.refresh_from_db()
    (gap,) = verify(session).gaps
    assert (gap["track"], gap["from_us"], gap["reason"]) == ("screen", end_us, "it was lost")
    assert session.status == Status.COMPLETED


def test_a_recorder_knows_when_its_session_began(a: DatabaseView, session: Session) -> None:
    tenure = a.claim(session.pk)
    assert tenure is not None
    assert [one.started_wall_ms for one in a.wanted()] == [tenure.started_wall_ms]


@pytest.mark.parametrize("kind", ["ended", "failed", "recording", "paused"])
def test_a_host_that_was_followed_moves_the_session_no_more(
    a: DatabaseView, b: DatabaseView, session: Session, kind: str
) -> None:
    a.claim(session.pk)
    _silence(session)
    b.claim(session.pk)
    b.report(session.pk, 2, Event("paused" if kind == "recording" else "recording"))
    session.refresh_from_db()
    before = (session.status, session.desired, session.reason)
    a.report(session.pk, 1, Event(kind, "it was told to stop"))  # type: ignore[arg-type]
    session.refresh_from_db()
    assert (session.status, session.desired, session.reason) == before
    assert Take.objects.get(session=session, number=2).ended_at is None


def test_a_session_ended_when_its_recorder_says_however_late_that_is_heard(
    a: DatabaseView, session: Session
) -> None:
    a.claim(session.pk)
    Session.objects.update(started_at=timezone.now() - timedelta(minutes=3))
    over = timezone.now() - timedelta(minutes=1)
    a.report(session.pk, 1, Event("ended", "stopped", {"frames": 9, "ended_boot_ms": boot_ms() - 60_000}))
    session.refresh_from_db()
    assert session.ended_at is not None
    assert abs(session.ended_at - over) < timedelta(seconds=30)
    assert session.statistics == {"frames": 9, "take": 1, "dropped_earlier": 0}


def test_what_earlier_takes_dropped_is_not_forgotten_nor_counted_twice(
    a: DatabaseView, b: DatabaseView, session: Session
) -> None:
    a.claim(session.pk)
    for dropped in (3, 5):
        a.report(session.pk, 1, Event("statistics", "", {"frames": 10, "dropped_frames": dropped}))
    _silence(session)
    b.claim(session.pk)
    b.report(session.pk, 2, Event("statistics", "", {"frames": 1, "dropped_frames": 2}))
    a.report(session.pk, 1, Event("statistics", "", {"frames": 11, "dropped_frames": 6}))
    b.report(session.pk, 2, Event("statistics", "", {"frames": 2, "dropped_frames": 4}))
    session.refresh_from_db()
    assert session.statistics == {"frames": 2, "dropped_frames": 4, "take": 2, "dropped_earlier": 5}


def test_what_a_take_dropped_is_not_forgotten_when_it_is_lost(a: DatabaseView, session: Session) -> None:
    a.claim(session.pk)
    a.report(session.pk, 1, Event("statistics", "", {"frames": 90, "dropped_frames": 40}))
    a.report(session.pk, 1, Event("statistics", "take 1: killed", {"restarts": 1, "lost": True}))
    session.refresh_from_db()
    assert session.statistics["dropped_frames"] == 40
    a.claim(session.pk)
    a.report(session.pk, 2, Event("statistics", "", {"frames": 1, "dropped_frames": 0}))
    session.refresh_from_db()
    assert session.statistics == {"frames": 1, "dropped_frames": 0, "take": 2, "dropped_earlier": 40}


@pytest.mark.parametrize("kind", ["ended", "failed"])
def test_the_last_figures_of_a_session_are_those_of_its_end(
    a: DatabaseView, session: Session, kind: str
) -> None:
    a.claim(session.pk)
    a.report(session.pk, 1, Event("statistics", "", {"frames": 10, "dropped_frames": 3}))
    facts = {"frames": 19, "dropped_frames": 5, "end_us": 7}
    a.report(session.pk, 1, Event(kind, "over", facts))  # type: ignore[arg-type]
    session.refresh_from_db()
    assert session.statistics == {**facts, "take": 1, "dropped_earlier": 0}


def test_a_session_stopped_while_its_host_is_away_is_sealed(
    a: DatabaseView, b: DatabaseView, session: Session, world: Installation
) -> None:
    _recording_on(a, session, world)
    session.refresh_from_db()
    sessions.stop(session)
    _silence(session)
    b.wanted()
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    # What it may have recorded besides is not known, and the seal says so.
    assert [one["reason"] for one in verify(session).missing] == [NEVER_CLOSED]


def test_what_a_host_did_not_record_before_its_session_was_stopped_elsewhere_is_a_gap(
    a: DatabaseView, b: DatabaseView, session: Session, world: Installation
) -> None:
    _recording_on(a, session, world)
    sessions.stop(Session.objects.get(pk=session.pk))
    _silence(session)
    began = timezone.now() - timedelta(minutes=10)
    Session.objects.filter(pk=session.pk).update(started_at=began)
    b.wanted()
    reconcile.work_inline(world)
    # The first host is back; what its supervisor does first is to close what was left open.
    recover(world.spool, session.pk, take=1, reason="the recorder stopped unexpectedly")
    a.intake.scan()
    reconcile.work_inline(world)
    session.refresh_from_db()
    (gap,) = verify(session).gaps
    place = (gap["track"], gap["take"], gap["from_us"], gap["reason"])
    assert place == ("screen", 1, SEGMENT_US, "the recorder stopped unexpectedly")
    lasted_us = (session.ended_at - session.started_at) // timedelta(microseconds=1)
    assert (gap["to_us"], gap["uncertain"]) == (lasted_us, True)
    assert lasted_us >= 600_000_000
    assert (session.status, verify(session).missing) == (Status.COMPLETED, [])


def test_a_pause_in_which_a_host_was_shut_down_and_its_session_stopped_elsewhere_stays_one(
    a: DatabaseView, b: DatabaseView, session: Session, world: Installation
) -> None:
    _recording_on(a, session, world)
    # Told to end in a pause of two seconds, the recorder accounts for those.
    factories.gap(session, world, from_us=SEGMENT_US, to_us=SEGMENT_US + 2_000_000, reason="paused")
    end = ClosedMarker(session.pk, "screen", 1, 1, SEGMENT_US + 2_000_000, "shut down", "interrupted")
    world.spool.write_closed(end)
    a.intake.scan()
    Session.objects.filter(pk=session.pk).update(started_at=timezone.now() - timedelta(minutes=10))
    sessions.stop(Session.objects.get(pk=session.pk))
    _silence(session)
    b.wanted()
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert [gap["reason"] for gap in verify(session).gaps] == ["paused", "paused"]
    assert verify(session).gaps[1]["from_us"] == end.end_us


def test_a_host_that_returns_after_the_end_closes_its_take_and_adds_what_it_has(
    a: DatabaseView, session: Session, world: Installation
) -> None:
    a.claim(session.pk)
    factories.acknowledge(session, world, counter=1)
    long_ago = timezone.now() - timedelta(minutes=5)
    rows = Session.objects.filter(pk=session.pk)
    rows.update(status=Status.PROCESSING, desired=Desired.STOP, ended_at=long_ago)
    factories.close(session, world, last_counter=1)
    a.beat()
    assert Take.objects.get(session=session).ended_at is not None
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert (session.status, verify(session).complete) == (Status.COMPLETED, True)


def test_a_session_stopped_before_anything_was_recorded_says_so(
    a: DatabaseView, session: Session, world: Installation
) -> None:
    sessions.stop(session)
    a.report(session.pk, NO_TAKE, Event("ended", "stopped"))
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert (session.status, session.reason) == (Status.FAILED, "Nothing was recorded before it ended.")


def test_take_numbers_are_not_used_again_after_an_older_database(
    a: DatabaseView, session: Session, world: Installation
) -> None:
    a.claim(session.pk)
    world.spool.make_take(session.pk, 7)
    Take.objects.all().delete()
    tenure = a.claim(session.pk)
    assert tenure is not None
    assert tenure.take == 8


def test_a_strict_session_ends_when_the_spool_is_short_of_room_and_others_go_on(
    a: DatabaseView, world: Installation, settings: pytest.FixtureRequest
) -> None:
    strict, lax = (
        sessions.start(sessions.create("synthetic://64x48", name=name, storage_config={"when_full": policy}))
        for name, policy in (("strict", "fail_closed"), ("lax", "spool"))
    )
    for one in (strict, lax):
        a.claim(one.pk)
    settings.LUCID_STORAGE_MIN_FREE_GIB = 1e9
    wanted = {one.session: one.desired for one in a.wanted()}
    assert wanted == {strict.pk: "stop", lax.pk: "record"}
    a.report(strict.pk, 1, Event("ended", "stopped"))
    strict.refresh_from_db()
    assert "fail_closed" in strict.reason
    assert "GiB free" in strict.reason


def test_a_host_that_lives_cannot_be_declared_lost(a: DatabaseView, session: Session) -> None:
    a.claim(session.pk)
    with pytest.raises(Refused, match="it is not lost"):
        lost_hosts.declare(a.spool.identity)
    with pytest.raises(Refused, match="No take was ever recorded"):
        lost_hosts.declare("00000000")


def test_a_host_that_lives_and_records_nothing_cannot_be_declared_lost_either(
    a: DatabaseView, session: Session
) -> None:
    a.claim(session.pk)
    factories.end(session)
    a.note_load(Load(0, 0.0, 1.0, None, None))
    with pytest.raises(Refused, match="it is not lost"):
        lost_hosts.declare(a.spool.identity)
    RecorderHost.objects.update(seen_at=timezone.now() - lost_hosts.SILENT)
    assert lost_hosts.declare(a.spool.identity) == lost_hosts.GivenUp(chunks=0, takes=0)


def test_of_a_host_that_was_declared_lost_and_returns_no_segment_goes_that_a_bad_blob_needs(
    world: Installation,
) -> None:
    factories.recorded_session(world, segments=3)
    reconcile.work_inline(world)
    known, late, good = Chunk.objects.order_by("sequence")
    _spoil(known, world)
    lost_hosts.declare(world.spool.identity)
    known.refresh_from_db()
    assert known.path
    right = _spoil(late, world)
    assert late.quarantined_at
    files = intake.Intake(world.spool)
    files.scan()
    files.release()
    late.refresh_from_db()
    assert {path.name for path, _ in world.spool.segments()} == {
        Path(chunk.path).name for chunk in (known, late)
    }
    assert not (world.spool_root / good.path).exists()
    _path_of(late, world).write_bytes(right)
    list(scrub.run(world))
    assert files.release() == 1
    assert [path.name for path, _ in world.spool.segments()] == [Path(known.path).name]


def test_a_session_is_sealed_without_a_host_that_is_lost_and_names_what_is_missing(
    a: DatabaseView, b: DatabaseView, session: Session, world: Installation
) -> None:
    _recording_on(a, session, world)
    session.refresh_from_db()
    sessions.stop(session)
    _silence(session)
    # The spool of `a` is gone with it, its row is not.
    shutil.rmtree(world.spool_root)
    assert reconcile.oldest_unanchored_seconds() > 0
    assert lost_hosts.declare(a.spool.identity) == lost_hosts.GivenUp(chunks=1, takes=1)
    b.wanted()
    reconcile.work_inline(world)
    session.refresh_from_db()
    reasons = [one["reason"] for one in verify(session).missing]
    assert reasons == [lost_hosts.REASON.format(spool=a.spool.identity), NEVER_CLOSED]
    assert reconcile.oldest_unanchored_seconds() == 0
    # Nor does its end wait for the host, and the record names whose word is lacking.
    shredding.begin(session, cause="test")
    archived.finish(session, replace(world, spool_root=b.spool.root))
    assert list(shredding.waits_for(session)) == []
    assert session.status == Status.DELETED
    record = json.loads(LedgerRecord.objects.get(kind="shredded").entry)
    assert record["lost_spools"] == [a.spool.identity]


def _recording_on(host: DatabaseView, session: Session, world: Installation) -> None:
    """The session is recorded there, and has its first segment."""
    host.claim(session.pk)
    host.report(session.pk, 1, Event("recording"))
    factories.acknowledge(session, world, counter=1)
    host.intake.scan()
