"""What is wrong with one thing stops nothing else: chunks, files, sessions, requests, hosts, the broker."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.errors import Retryable
from lucid_sessions.recordings import (
    hints,
    intake,
    leases,
    ledger_rows,
    pipeline,
    reconcile,
    sealing,
    setbacks,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, State, Status
from lucid_sessions.recordings.management.commands import recorder
from lucid_sessions.recordings.models import Chunk, LedgerRequest, Session
from lucid_sessions.recordings.requeue import troubles
from lucid_sessions.recordings.verification import verify
from recorder.spool import Spool
from tests import factories, waiting

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [name for name in STAGES if name != "anchor"]


def test_an_exception_that_nobody_foresaw_counts_and_ends_in_quarantine(world: Installation) -> None:
    session = factories.recorded_session(world, segments=3)
    # open() answers a path with a zero byte by ValueError, which no code of ours foresees.
    Chunk.objects.filter(sequence=(1 << 32) + 2).update(path="takes/\0.mp4")
    for _ in range(setbacks.MOST_ATTEMPTS):
        Chunk.objects.update(next_attempt_at=None, hinted_at=None)
        reconcile.work_inline(world)
    (bad,) = Chunk.objects.filter(session=session, quarantined_at__isnull=False)
    assert bad.reason.startswith("capture: unexpected ValueError")
    assert Chunk.objects.filter(state=State.ANCHORED).count() == 2


def test_a_spool_that_is_not_mounted_is_waited_for(world: Installation) -> None:
    factories.recorded_session(world, segments=1)
    ids = list(Chunk.objects.values_list("pk", flat=True))
    assert world.spool.identity
    world.spool_root.rename(world.spool_root.with_name("elsewhere"))
    world.spool_root.mkdir()
    pipeline.run(STEPS, ids, world=world)
    row = Chunk.objects.get()
    assert (row.quarantined_at, row.attempts) == (None, 1)
    assert "not mounted" in row.reason


def test_a_ledger_that_is_not_mounted_gets_nothing_written_into_its_mount_point(world: Installation) -> None:
    factories.recorded_session(world, segments=1, name="before")
    reconcile.work_inline(world)
    second = factories.recorded_session(world, segments=1, name="second")
    pipeline.run(STEPS, [chunk.pk for chunk in second.chunks.all()], world=world)
    aside = world.ledger_root.with_name("unmounted")
    world.ledger_root.rename(aside)
    for bare in (False, True):
        if bare:
            world.ledger_root.mkdir()
        with pytest.raises(Retryable, match="mount"):
            sealing.seal(world)
    assert not (world.ledger_root / "body").exists()
    assert second.chunks.get().state == State.STORED
    shutil.rmtree(world.ledger_root)
    aside.rename(world.ledger_root)
    sealing.seal(world)
    assert verify(second, deep=True).findings == []


@pytest.mark.parametrize(("number", "anchored"), [(2**21 - 1, 1), (2**21, 0)])
def test_a_take_beyond_what_the_ledger_can_name_is_set_aside_and_blocks_nothing(
    world: Installation, number: int, anchored: int
) -> None:
    odd = factories.recorded_session(world, segments=0, name="odd")
    path = factories.acknowledge(odd, world, counter=1, number=number)
    factories.close(odd, world, last_counter=1, number=number)
    factories.recorded_session(world, segments=1, name="good")
    reconcile.work_inline(world)
    assert odd.chunks.filter(state=State.ANCHORED).count() == anchored
    assert Chunk.objects.filter(state=State.ANCHORED).count() == 1 + anchored
    assert path.exists() == bool(anchored)
    assert (world.spool_root / "quarantine" / path.name).exists() == (not anchored)


def test_a_time_beyond_what_the_ledger_can_name_is_set_aside(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    factories.gap(session, world, from_us=0, to_us=2**53, reason="for ever")
    factories.file_spool(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert (session.status, session.gaps.count()) == (Status.COMPLETED, 0)


def test_a_request_whose_key_is_in_the_log_already_blocks_nothing(world: Installation) -> None:
    ledger_rows.request("audit", key="audit:x", facts={})
    sealing.seal(world)
    LedgerRequest.objects.all().delete()
    ledger_rows.request("audit", key="audit:x", facts={})
    session = factories.recorded_session(world, segments=1)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    assert LedgerRequest.objects.get().record == 0


def test_a_request_that_is_too_large_blocks_nothing(world: Installation) -> None:
    ledger_rows.request("audit", key="audit:1", facts={"text": "x" * 20_000})
    session = factories.recorded_session(world, segments=1)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"leaf": "00" * 32}, "changed after it was stored"),
        ({"blob": "no hash"}, "the log cannot say this of it"),
        ({"track": "No Track"}, "the log cannot say this of it"),
        ({"blob_length": -1}, "the log cannot say this of it"),
    ],
)
def test_a_row_that_was_changed_after_it_was_stored_spoils_no_batch(
    world: Installation, changes: dict[str, object], why: str
) -> None:
    session = factories.recorded_session(world, segments=2)
    pipeline.run(STEPS, [chunk.pk for chunk in session.chunks.all()], world=world)
    session.chunks.filter(sequence=(1 << 32) + 1).update(**changes)
    sealing.seal(world)
    bad = Chunk.objects.get(quarantined_at__isnull=False)
    assert why in bad.reason
    assert session.chunks.filter(state=State.ANCHORED).count() == 1


def test_a_number_that_the_log_cannot_write_spoils_no_batch(world: Installation) -> None:
    good = factories.recorded_session(world, segments=1, name="good")
    bad = factories.recorded_session(world, segments=1, name="bad")
    # As an earlier release filed it, which took such numbers.
    bad.chunks.update(sequence=2**53 + 1)
    pipeline.run(STEPS, list(Chunk.objects.values_list("pk", flat=True)), world=world)
    sealing.seal(world)
    assert good.chunks.get().state == State.ANCHORED
    assert "canonical JSON" in bad.chunks.get(quarantined_at__isnull=False).reason


def test_chunks_of_paused_sessions_and_full_queues_hide_no_others(world: Installation) -> None:
    paused = factories.recorded_session(world, segments=3, name="paused")
    Session.objects.filter(pk=paused.pk).update(processing_paused=True)
    others = factories.recorded_session(world, segments=3, name="others")
    Chunk.objects.filter(session=others, sequence=(1 << 32) + 1).update(spool="far away")
    found = reconcile.due(2)
    assert {chunk.session_id for chunk in found} == {others.pk}
    publisher = Publisher(full={"far away"})
    hints.register(publisher)
    assert reconcile.tick() == 2
    assert publisher.spools == [world.spool.identity]


class Publisher:
    """A broker that notes what it is sent; queues of `full` spools are long, a broken one takes nothing."""

    def __init__(self, *, full: set[str] = frozenset(), broken: bool = False) -> None:  # type: ignore[assignment]
        self.full, self.broken = full, broken
        self.spools: list[str] = []
        self.asked = 0

    def publish(self, stage: str, chunk_ids: object, *, spool: str, patiently: bool = False) -> None:
        self.asked += 1
        if self.broken:
            raise ConnectionError("the broker is away")
        self.spools.append(spool)

    def depth(self, stage: str, *, spool: str) -> int:
        return 10_000 if spool in self.full else 0


def test_a_broker_that_is_away_is_left_in_peace_for_a_while(
    world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "SILENCE_SECONDS", waiting.PATIENCE)
    factories.recorded_session(world, segments=2)
    broken = Publisher(broken=True)
    hints.register(broken)
    for _ in range(5):
        assert hints.hint(Chunk.objects.all()) == 0
    assert broken.asked == 1
    assert set(Chunk.objects.values_list("hinted_at", flat=True)) == {None}


def test_the_reconciler_alone_without_a_broker_takes_files_to_the_seal(world: Installation) -> None:
    session = factories.recorded_session(world, segments=0, name="late")
    session.closures.all().delete()
    (world.spool.take_directory(session.pk, 1) / "closed_screen.json").unlink()
    factories.acknowledge(session, world, counter=1)
    factories.close(session, world, last_counter=1)
    reconcile.loop(world, rounds=1)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    assert list(world.spool.segments()) == []


def test_a_session_whose_directory_cannot_be_listed_hides_no_other(world: Installation) -> None:
    session = factories.recorded_session(world, segments=0)
    factories.acknowledge(session, world, counter=1)
    # Listing it fails (ELOOP), as on a disk with a bad place.
    for name in ("0" * 32, "f" * 32):
        (world.spool_root / "takes" / name).symlink_to(name)
    assert [chunk.session_id for chunk in factories.file_spool(world)] == [session.pk]


def test_a_spool_that_cannot_be_listed_keeps_nothing_from_its_seal(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    pipeline.run(STEPS, [chunk.pk for chunk in session.chunks.all()], world=world)
    takes = world.spool_root / "takes"
    takes.rename(world.spool_root / "moved")
    takes.symlink_to(takes.name)
    reconcile.loop(world, rounds=1)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED


def test_a_marker_that_cannot_be_hides_no_other_and_is_kept(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    directory = world.spool.take_directory(session.pk, 1)
    (directory / "gap_screen_9.json").write_text("torn")
    (directory / "closed_audio.json").write_text(json.dumps({"last_counter": 10**12}))
    factories.gap(session, world, from_us=1, to_us=2, reason="paused")
    factories.file_spool(world)
    assert session.gaps.get().reason == "paused"
    kept = {path.name for path in (world.spool_root / "quarantine").iterdir()}
    assert kept == {"gap_screen_9.json", "closed_audio.json"}


def test_a_marker_that_is_nested_too_deeply_is_set_aside(world: Installation) -> None:
    session = factories.recorded_session(world, segments=0)
    marker = world.spool.take_directory(session.pk, 1) / "gap_screen_1.json"
    marker.write_text("[" * 100_000)
    factories.file_spool(world)
    assert [path.name for path in (world.spool_root / "quarantine").iterdir()] == [marker.name]


@pytest.mark.parametrize("marker", ["gap_screen_1.json", "closed_screen.json"])
def test_a_marker_that_no_database_can_hold_is_set_aside(world: Installation, marker: str) -> None:
    odd = factories.recorded_session(world, segments=0, name="odd")
    directory = world.spool.make_take(odd.pk, 2)
    facts: dict[str, object] = {"session": str(odd.pk), "track": "screen", "take": 2, "reason": "x\udcff"}
    if marker.startswith("gap"):
        facts |= {"number": 1, "from_us": 0, "to_us": 5}
    else:
        facts |= {"last_counter": 0, "end_us": 5}
    (directory / marker).write_text(json.dumps(facts))
    other = factories.recorded_session(world, segments=1, name="other")
    assert other.chunks.count() == 1
    assert [path.name for path in (world.spool_root / "quarantine").iterdir()] == [marker]


class _OddDisk(Spool):
    """A spool in which one take fails as no code of ours foresees, while it is broken."""

    broken: Path | None = None

    def segments(self, directory: Path | None = None, *, held: bool = False) -> Iterator[Any]:
        if directory == self.broken:
            raise ArithmeticError("nobody foresaw this")
        return super().segments(directory, held=held)


def test_a_take_that_fails_in_a_way_nobody_foresaw_hides_no_other_and_is_tried_again(
    world: Installation,
) -> None:
    odd, other = (factories.recorded_session(world, segments=0, name=name) for name in ("odd", "other"))
    for session in (odd, other):
        factories.acknowledge(session, world, counter=1)
    disk = _OddDisk(world.spool_root)
    disk.broken = disk.take_directory(odd.pk, 1)
    scanner = intake.Intake(disk)
    with structlog.testing.capture_logs() as said:
        assert [chunk.session_id for chunk in scanner.scan()] == [other.pk]
    (event,) = [one for one in said if one["event"] == "take not filed"]
    assert (event["log_level"], event["exc_info"]) == ("error", True)
    disk.broken = None
    assert [chunk.session_id for chunk in scanner.scan()] == [odd.pk]


class _OddOnce(Spool):
    """A spool that fails at the first look, as no code of ours foresees."""

    looks = 0

    def takes(self, only: UUID | None = None, **more: Any) -> Iterator[Any]:
        self.looks += 1
        if self.looks == 1:
            raise ArithmeticError("nobody foresaw this")
        return super().takes(only, **more)


def test_filing_goes_on_after_a_failure_that_nobody_foresaw(
    world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SCAN_SECONDS", 0.05)
    session = factories.recorded_session(world, segments=0)
    factories.acknowledge(session, world, counter=1)
    filing = recorder.Filing(intake.Intake(_OddOnce(world.spool_root)))
    filing.start()
    waiting.until(lambda: session.chunks.exists() or not filing.is_alive())
    assert filing.is_alive()
    filing.finish()


def test_a_gap_that_comes_after_the_seal_makes_a_new_revision(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    reconcile.work_inline(world)
    factories.gap(session, world, from_us=1_000_000, to_us=2_000_000, reason="the host was away")
    factories.file_spool(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.sealed_revision == 2
    assert [one["reason"] for one in verify(session).gaps] == ["the host was away"]


def test_another_file_at_a_released_place_is_set_aside(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    reconcile.work_inline(world)
    intake.release(world.spool)
    factories.acknowledge(session, world, counter=1, content=factories.segment_bytes(2) + b"more")
    factories.file_spool(world)
    assert len(list((world.spool_root / "quarantine").iterdir())) == 1


@pytest.mark.usefixtures("long_waits")
def test_what_waits_and_what_is_in_quarantine_is_listed_with_reason_and_next_step(
    world: Installation,
) -> None:
    session = factories.recorded_session(world, segments=2)
    waits, bad = Chunk.objects.order_by("sequence")
    for chunk, error in ((waits, Retryable("the disk is full")), (bad, setbacks.Final("no key frame"))):
        (mine,) = leases.claim(STAGES["capture"], [chunk.pk], spool=world.spool.identity)
        setbacks.record(mine, stage="capture", error=error)
    first, second = troubles(session=session.pk)
    assert (first.stage, first.attempts, first.reason) == ("capture", 1, "capture: the disk is full")
    assert "tried again by itself" in first.next_step
    assert (second.quarantined, second.reason) == (True, "capture: no key frame")
    assert f"manage.py requeue --session {session.pk} --stage capture" in second.next_step
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("requeue", "--list", stdout=out)
    assert ended.value.code == 0
    assert "no key frame" in out.getvalue()
    assert Chunk.objects.filter(quarantined_at__isnull=False).count() == 1


def test_a_commit_whose_answer_was_lost_still_counts(world: Installation) -> None:
    factories.recorded_session(world, segments=1)
    chunk = Chunk.objects.get()
    (mine,) = leases.claim(STAGES["capture"], [chunk.pk], spool=world.spool.identity)
    assert leases.commit(mine, state=State.CAPTURED, facts={"frames": 3})
    assert leases.commit(mine, state=State.CAPTURED, facts={"frames": 3})
    (other,) = leases.claim(STAGES["compress"], [chunk.pk], spool=world.spool.identity)
    assert not leases.commit(mine, state=State.CAPTURED, facts={"frames": 4})
    assert other.frames == 3


def test_waits_that_another_clock_wrote_are_over(world: Installation) -> None:
    factories.recorded_session(world, segments=1)
    Chunk.objects.update(
        next_attempt_at=timezone.now() + timedelta(minutes=20),
        lease_until=timezone.now() + timedelta(minutes=2),
        hinted_at=timezone.now() + timedelta(hours=1),
    )
    assert len(reconcile.due()) == 1
