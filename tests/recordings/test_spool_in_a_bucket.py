"""LUCID_SPOOL=s3: what was acknowledged survives the loss of its host, spool and all."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.blobs import Where
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.recordings import (
    adoption,
    clearing,
    failpoints,
    intake,
    lost_hosts,
    reconcile,
    sessions,
    shredding,
    spool_files,
    verification,
)
from lucid_sessions.recordings import installation as outside
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, RecorderHost, Session, Take
from lucid_sessions.recordings.spool_mirror import Copy, mirror_of
from recorder.recovery import recover
from recorder.spool import HELD
from recorder.supervisor import Event, NotYet
from tests import factories
from tests.buckets import everything_in, owner
from tests.programs import descendants
from tests.recordings import archived, mirrored
from tests.tasks.workers import environment
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def host(world: Installation, bucket: Where, settings: Any) -> Installation:
    """The world of a recorder's host whose spool is copied to a bucket."""
    return mirrored.host(bucket, settings)


def _names(host: Installation, session: Session) -> list[str]:
    folder = host.spool_root / "takes" / session.pk.hex / "1"
    return sorted(path.name for path in folder.iterdir())


def test_nothing_counts_before_its_copy_is_in_the_bucket(host: Installation, bucket: Where) -> None:
    session = mirrored.recorded(host)
    assert all(name.endswith(HELD) for name in _names(host, session))
    assert intake.Intake(host.spool).scan() == []
    mirror = mirror_of(host)
    assert mirror is not None
    assert mirror.acknowledge(host.spool) == 4
    assert not any(name.endswith(HELD) for name in _names(host, session))
    assert len(intake.Intake(host.spool, mirror).scan()) == 3
    copies = everything_in(bucket)
    assert len(copies) == 4
    plain = factories.segment_bytes(1)
    assert not any(plain[:200] in content for content in copies.values()), "the store could read it"
    assert plain in [mirror.get(copy) for copy in mirror.copies()]


def test_what_cannot_be_read_here_holds_up_no_other_recording(host: Installation) -> None:
    bad, good = mirrored.recorded(host), mirrored.recorded(host)
    # Reading it fails (ELOOP), as on a disk with a bad place; so does listing the first session of all.
    segment = min((host.spool_root / "takes" / bad.pk.hex / "1").glob("*_screen_*"))
    segment.unlink()
    segment.symlink_to(segment.name)
    (host.spool_root / "takes" / ("0" * 32)).symlink_to("0" * 32)
    mirror = mirror_of(host)
    assert mirror is not None
    with pytest.raises(Retryable, match="Look at its disk"):
        mirror.acknowledge(host.spool)
    assert all(name.endswith(HELD) for name in _names(host, bad) if "closed" in name)
    assert not any(name.endswith(HELD) for name in _names(host, good))


def test_while_the_store_is_away_segments_are_held_and_nothing_is_lost(host: Installation) -> None:
    session = mirrored.recorded(host)
    away = mirror_of(replace(host, spool_url="s3://vault/?endpoint=http://127.0.0.1:9"))
    assert away is not None
    with pytest.raises(Retryable, match="EndpointConnectionError"):
        away.acknowledge(host.spool)
    assert all(name.endswith(HELD) for name in _names(host, session))
    back = mirror_of(host)
    assert back is not None
    assert back.acknowledge(host.spool) == 4


def test_a_store_that_hangs_keeps_no_supervisor_from_its_other_sessions(host: Installation) -> None:
    session = mirrored.recorded(host)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hanging = replace(host, spool_url=f"s3://vault/?endpoint=http://127.0.0.1:{deaf.getsockname()[1]}")
        view = DatabaseView(host.spool, intake.Intake(host.spool, mirror_of(hanging)))
        with pytest.raises(NotYet):
            view.report(session.pk, 1, Event("ended", "stopped"))
        deaf.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has knocked
            deaf.accept()
    session.refresh_from_db()
    assert session.status == Status.RECORDING
    back = mirror_of(host)
    assert back is not None
    back.acknowledge(host.spool)
    view.report(session.pk, 1, Event("ended", "stopped"))
    session.refresh_from_db()
    assert (session.status, Chunk.objects.count()) == (Status.PROCESSING, 3)


def test_takes_that_are_over_are_looked_at_seldom_and_all_that_is_held_is_copied(
    host: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "QUIET_SECONDS", 0.0)
    session, files = mirrored.recorded(host, segments=1), intake.Intake(host.spool, mirror_of(host))
    looked: list[Any] = []
    takes_of = host.spool.takes_of
    monkeypatch.setattr(host.spool, "takes_of", lambda one: looked.append(one) or takes_of(one))

    def turn() -> int:
        """How many sessions were looked at for what is held."""
        looked.clear()
        files.acknowledge()
        count = len(looked)
        files.scan()
        return count

    assert [turn() for _ in range(2)] == [1, 1]
    reconcile.work_inline(host)
    files.release()
    [turn() for _ in range(3)]
    assert turn() == 0
    # What somebody tells of is copied at once, and what is still held when a take is over is not passed over.
    factories.acknowledge(session, host, counter=1, number=2)
    files.wake({session.pk})
    assert turn() == 1
    assert len(list(host.spool.segments(host.spool.take_directory(session.pk, 2)))) == 1
    factories.close(session, host, last_counter=1, number=2)
    assert any(host.spool.held(host.spool.take_directory(session.pk, 2)))
    assert turn() == 1
    assert not any(host.spool.held(host.spool.take_directory(session.pk, 2)))


def test_a_host_that_died_before_its_markers_is_recovered_with_what_is_held(host: Installation) -> None:
    session = sessions.create("synthetic://64x48", name="a session")
    for counter in (1, 2):
        factories.acknowledge(session, host, counter=counter)
    marker = recover(host.spool, session.pk, take=1, reason="died")
    assert marker.last_counter == 2


def test_copies_go_when_the_archive_has_the_segments(host: Installation) -> None:
    session = mirrored.recorded(host)
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    files = intake.Intake(host.spool, mirror)
    files.scan()
    factories.end(session)
    reconcile.work_inline(host)
    files.release()
    assert [copy.name for copy in mirror.copies()] == ["closed_screen.json"]


def test_another_host_files_and_archives_what_the_lost_one_had_acknowledged(
    host: Installation, tmp_path: Path
) -> None:
    session, lost = mirrored.recorded(host, segments=4), host.spool.identity
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    filed = intake.Intake(host.spool, mirror).scan()
    Chunk.objects.filter(pk__in=[chunk.pk for chunk in filed[:2]]).delete()  # these had no rows yet
    shutil.rmtree(host.spool_root)

    other = mirrored.another(host, tmp_path)
    done = adoption.adopt(other, lost)
    assert (done.segments, done.markers, done.takes, done.problems) == (4, 1, 1, [])
    with pytest.raises(Refused, match="Nobody knows"):  # nothing of it is left to adopt
        adoption.adopt(other, lost)
    assert adoption.known(other) == {other.spool.identity: 5}
    factories.end(session)
    reconcile.work_inline(other)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    report = verification.verify(session, deep=True)
    assert (report.findings, report.complete) == ([], True)
    wanted = {hashlib.sha256(factories.segment_bytes(number)).hexdigest() for number in (1, 2, 3, 4)}
    assert set(Chunk.objects.values_list("raw_sha256", flat=True)) == wanted


def adopted(host: Installation, tmp_path: Path) -> tuple[Session, Installation, Callable[[], None]]:
    """A session that another host has adopted, and what brings its old copies back."""
    session, lost = mirrored.recorded(host), host.spool.identity
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    intake.Intake(host.spool, mirror).scan()
    copies = [(copy, mirror.get(copy)) for copy in mirror.copies(lost)]
    other = mirrored.another(host, tmp_path)
    adoption.adopt(other, lost)

    def as_if_it_had_died() -> None:
        """Before the old copies went."""
        for copy, content in copies:
            mirror.put(copy, content)

    return session, other, as_if_it_had_died


def test_an_adoption_that_died_anywhere_is_finished_by_the_next(host: Installation, tmp_path: Path) -> None:
    session, other, as_if_it_had_died = adopted(host, tmp_path)
    as_if_it_had_died()
    assert adoption.adopt(other, host.spool.identity).problems == []
    assert Chunk.objects.filter(session=session, spool=other.spool.identity).count() == 3


@pytest.mark.parametrize("is_archived", [True, False])
def test_a_segment_that_leaves_the_spool_while_it_is_adopted_once_more_ends_no_adoption(
    host: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_archived: bool
) -> None:
    (session, other, as_if_it_had_died), lost = adopted(host, tmp_path), host.spool.identity
    factories.end(session)
    if is_archived:
        reconcile.work_inline(other)
    as_if_it_had_died()
    places = [other.spool_root / path for path in Chunk.objects.values_list("path", flat=True)]

    def leave(place: str) -> None:
        """The recorder's release, or whoever removes what is needed yet, comes between."""
        if place == "adopt.copied" and is_archived:
            intake.Intake(other.spool, mirror_of(host)).release()
        elif place == "adopt.copied":
            places[0].unlink(missing_ok=True)

    monkeypatch.setattr(failpoints, "reach", leave)
    done = adoption.adopt(other, lost)
    if is_archived:
        assert (done.problems, adoption.known(other)) == ([], {other.spool.identity: 1})
        assert not any(path.exists() for path in places)
    else:
        (problem,) = done.problems
        assert "has left the spool while it was adopted" in problem
        assert adoption.known(other)[lost] == 1  # what it could be had from again
        monkeypatch.undo()
        assert adoption.adopt(other, lost).problems == []
        reconcile.work_inline(other)
    session.refresh_from_db()
    report = verification.verify(session, deep=True)
    assert (report.findings, report.complete) == ([], True)


def test_what_leaves_the_spool_since_it_was_listed_is_passed_over(
    host: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, lost = mirrored.recorded(host), host.spool.identity
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    other = mirrored.another(host, tmp_path)
    adoption.adopt(other, lost)
    factories.end(session)
    reconcile.work_inline(other)
    look = spool_files.problem

    def leave(*args: Any, **named: Any) -> str:
        intake.Intake(other.spool, mirror).release()
        return look(*args, **named)

    monkeypatch.setattr(spool_files, "problem", leave)
    assert adoption.file_again(other).problems == []
    assert adoption.known(other) == {other.spool.identity: 1}


def test_what_the_archive_had_before_it_was_adopted_leaves_at_the_recorders_next_start_and_nothing_else(
    host: Installation, tmp_path: Path
) -> None:
    session, lost = mirrored.recorded(host), host.spool.identity
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    intake.Intake(host.spool, mirror).scan()
    factories.end(session)
    reconcile.work_inline(host)  # and it is lost before it let go of its segments
    other = mirrored.another(host, tmp_path)
    running = intake.Intake(other.spool, mirror)
    running.release()  # everything that is archived so far is behind it
    assert adoption.adopt(other, lost).segments == 3
    doubted = Chunk.objects.order_by("sequence")[0]
    Chunk.objects.filter(pk=doubted.pk).update(quarantined_at=timezone.now(), reason="a bad blob")
    assert running.release() == 0
    assert intake.Intake(other.spool, mirror).release() == 2
    assert (other.spool_root / doubted.path).exists()
    assert len(verification.verify(session, deep=True).findings) == 0


def test_a_forged_copy_is_named_and_the_others_are_adopted(
    host: Installation, bucket: Where, tmp_path: Path
) -> None:
    mirrored.recorded(host)
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    first, second = (
        list(mirror.copies())[:2]
        if "closed" not in next(mirror.copies()).name
        else (list(mirror.copies())[1:3])
    )
    client, prefix = owner(bucket), f"{bucket.prefix}spool/"
    swapped = client.get_object(Bucket=bucket.bucket, Key=prefix + second.key)["Body"].read()
    client.put_object(Bucket=bucket.bucket, Key=prefix + first.key, Body=swapped)
    with pytest.raises(Tampered, match="not what a recorder sealed"):
        mirror.get(first)
    done = adoption.adopt(mirrored.another(host, tmp_path), host.spool.identity)
    assert done.segments == 2
    assert first.name in done.problems[0]


def test_a_copy_that_can_be_no_segment_is_named_and_kept_and_the_others_are_adopted(
    host: Installation, tmp_path: Path
) -> None:
    session = mirrored.recorded(host)
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    lost, number = host.spool.identity, 2**21
    beyond = factories.acknowledge(session, host, counter=1, number=number)
    name = beyond.name.removesuffix(".held")
    odd = [Copy(lost, session.pk, str(number), name), Copy(lost, session.pk, "1", "a-note.txt")]
    odd.append(Copy(lost, session.pk, "first", name))
    for copy in odd:
        mirror.put(copy, beyond.read_bytes())
    done = adoption.adopt(mirrored.another(host, tmp_path), lost)
    assert (done.segments, len(done.problems)) == (3, 3)
    assert Chunk.objects.count() == 3
    assert set(odd) <= set(mirror.copies(lost))


def test_shredding_waits_for_the_copies_and_removes_them(host: Installation, bucket: Where) -> None:
    session = mirrored.recorded(host)
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    intake.Intake(host.spool, mirror).scan()
    factories.end(session)
    reconcile.work_inline(host)
    session.refresh_from_db()
    shredding.begin(session, cause="shred")
    assert "second copies of its segments" in list(shredding.waits_for(session))
    assert archived.finish(session, host).status == Status.DELETED
    assert everything_in(bucket) == {}


def test_a_host_that_returns_after_its_session_was_adopted_and_shredded_keeps_nothing_of_it(
    host: Installation, tmp_path: Path
) -> None:
    session, lost = mirrored.recorded(host), host.spool.identity
    kept = mirrored.recorded(host)
    mirror = mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    files = intake.Intake(host.spool, mirror)
    files.scan()
    other = mirrored.another(host, tmp_path)
    adoption.adopt(other, lost)
    factories.end(session)
    reconcile.work_inline(other)
    intake.Intake(host.spool, mirror).scan()  # it returns: what it had is another's now
    shredding.begin(session, cause="shred")
    assert archived.finish(session, other).status == Status.DELETED
    clearing.clear_here(host)
    names = [str(path) for path in host.spool_root.rglob("*")]
    assert not any(session.pk.hex in name for name in names)
    assert any(kept.pk.hex in name for name in names)
    assert {copy.session for copy in mirror.copies()} == {kept.pk}


def test_nonsense_is_refused(host: Installation, world: Installation) -> None:
    with pytest.raises(Refused, match="own spool"):
        adoption.adopt(host, host.spool.identity)
    with pytest.raises(Refused, match="Nobody knows a spool 00000000"):
        adoption.adopt(host, "00000000")
    with pytest.raises(Refused, match="LUCID_SPOOL is not s3"):
        adoption.adopt(world, "00000000")
    with pytest.raises(ValueError, match="unpack"):
        Copy.parse("no/copy")


def test_a_recorders_host_is_destroyed_and_another_drains_all_of_it(
    host: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    env = environment(host, "redis://127.0.0.1:9/0", LUCID_SPOOL="s3", LUCID_SPOOL_URL=host.spool_url)
    env |= {"LUCID_HOST": "doomed"}
    session = sessions.create(
        "synthetic://160x120", name="doomed", recording_config={"frame_rate": 5, "segment_seconds": 1.0}
    )
    sessions.start(session)
    log = tmp_path / "recorder.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "recorder"], env=env, stdout=out, stderr=out, start_new_session=True
        )
    try:
        until(lambda: Chunk.objects.filter(session=session, track="screen").count() >= 3)
    finally:
        family = [process.pid, *descendants(process.pid)]
        for pid in family:
            with suppress(ProcessLookupError):  # it goes with its parent
                os.kill(pid, signal.SIGKILL)
        process.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    lost = Take.objects.get(session=session).spool
    acknowledged = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in host.spool_root.rglob("*_screen_*.mp4")
    }
    assert len(acknowledged) >= 3
    shutil.rmtree(host.spool_root)

    settings.SESSION_STORAGE_PATH = tmp_path / "another-spool"
    outside.installation.cache_clear()
    assert _spool("list") == 0
    assert lost in capsys.readouterr().out
    assert _spool("adopt", lost) != 0  # heard from a moment ago
    Take.objects.update(lease_until=timezone.now())
    assert _spool("adopt", lost) != 0  # so was its host
    RecorderHost.objects.update(seen_at=timezone.now() - lost_hosts.SILENT)
    assert _spool("adopt", lost) == 0
    other = outside.installation()
    sessions.stop(session)
    factories.end(session)
    reconcile.work_inline(other)
    found = {
        Path(chunk.path).name or chunk.raw_sha256: chunk.raw_sha256
        for chunk in Chunk.objects.filter(session=session, track="screen", state=State.ANCHORED)
    }
    assert set(acknowledged.values()) <= set(found.values())


def _spool(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("spool", *words)
    return int(ended.value.code or 0)
