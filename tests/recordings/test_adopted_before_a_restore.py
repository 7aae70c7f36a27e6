"""A database that was restored to a time before an adoption: the host that adopted has the segments still."""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from lucid_sessions.blobs import Where
from lucid_sessions.recordings import adoption, intake, lost_hosts, reconcile, spool_files, verification
from lucid_sessions.recordings import installation as outside
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import BAD_BLOB, Desired, State, Status
from lucid_sessions.recordings.management.commands.recorder import Filing
from lucid_sessions.recordings.models import Chunk, Closure, Gap, RecorderHost, Session, SessionKey, Take
from lucid_sessions.recordings.spool_mirror import mirror_of
from tests import factories
from tests.recordings import mirrored
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Restored:
    """A session whose rows are those of the lost host, and the host that has adopted it meanwhile."""

    session: Session
    lost: str
    by: Installation

    def is_archived(self) -> bool:
        """Whether all of it is, once the session is over."""
        factories.end(self.session)
        reconcile.work_inline(self.by)
        self.session.refresh_from_db()
        report = verification.verify(self.session, deep=True)
        return self.session.status == Status.COMPLETED and report.complete and not report.findings


@pytest.fixture
def restored(world: Installation, bucket: Where, settings: Any, tmp_path: Path) -> Restored:
    host = mirrored.host(bucket, settings)
    session, lost, mirror = mirrored.recorded(host), host.spool.identity, mirror_of(host)
    assert mirror is not None
    mirror.acknowledge(host.spool)
    intake.Intake(host.spool, mirror).scan()
    before = dict(Chunk.objects.values_list("pk", "path"))
    shutil.rmtree(host.spool_root)
    mirrored.silent()
    settings.SESSION_STORAGE_PATH = tmp_path / "another-spool"
    outside.installation.cache_clear()
    other = outside.installation()
    assert adoption.adopt(other, lost).segments == 3
    for pk, path in before.items():
        Chunk.objects.filter(pk=pk).update(spool=lost, path=path)
    Take.objects.update(spool=lost, ended_at=None)
    Closure.objects.all().delete()
    return Restored(session, lost, other)


def test_the_recorder_that_adopted_files_it_again_when_it_starts(restored: Restored) -> None:
    filing = Filing(intake.Intake(restored.by.spool, mirror_of(restored.by)))
    filing.start()
    until(lambda: Take.objects.get().spool == restored.by.spool.identity)
    filing.finish()
    assert Take.objects.get().ended_at is not None
    assert restored.is_archived()


def test_whoever_adopts_once_more_loses_nothing(restored: Restored) -> None:
    done = adoption.adopt(restored.by, restored.lost)
    assert (done.segments, done.problems) == (3, [])
    assert restored.is_archived()


def test_what_was_given_up_as_lost_comes_back(restored: Restored) -> None:
    assert lost_hosts.declare(restored.lost).chunks == 3
    adoption.file_again(restored.by)
    assert restored.is_archived()


def test_what_rows_forgot_of_it_is_filed_and_no_take_is_written_over(restored: Restored) -> None:
    session, spool = restored.session, restored.by.spool
    Take.objects.all().delete()
    Chunk.objects.all().delete()
    Session.objects.filter(pk=session.pk).update(status=Status.RECORDING, desired=Desired.RECORD)
    tenure = DatabaseView(spool, intake.Intake(spool)).claim(session.pk)
    assert tenure is not None
    assert tenure.take == 2
    assert adoption.file_again(restored.by).segments == 3
    factories.close(session, restored.by, last_counter=0, number=2)
    factories.file_spool(restored.by)
    assert restored.is_archived()


def test_a_host_that_lives_after_all_keeps_what_it_has(restored: Restored) -> None:
    RecorderHost.objects.create(spool=restored.lost, name="it lives")
    assert adoption.file_again(restored.by) == adoption.Adopted(waits=1)
    assert set(Chunk.objects.values_list("spool", flat=True)) == {restored.lost}
    RecorderHost.objects.update(seen_at=timezone.now() - lost_hosts.SILENT)
    assert adoption.file_again(restored.by).segments == 3
    assert adoption.file_again(restored.by) == adoption.Adopted(markers=1)


def test_another_segment_of_the_same_number_is_kept_beside_it(restored: Restored) -> None:
    first = Chunk.objects.order_by("sequence")[0]
    Chunk.objects.filter(pk=first.pk).update(raw_length=first.raw_length + 1)
    adoption.file_again(restored.by)
    assert list(Chunk.objects.filter(spool=restored.lost).values_list("pk", flat=True)) == [first.pk]
    assert len(list(restored.by.spool_root.rglob("*.mp4"))) == 3


def test_the_segment_of_a_chunk_with_a_bad_blob_is_not_dropped(restored: Restored) -> None:
    bad = {"state": State.STORED, "path": "", "quarantined_at": timezone.now(), "reason": f"{BAD_BLOB}gone"}
    Chunk.objects.update(**bad)
    adoption.file_again(restored.by)
    assert all((restored.by.spool_root / chunk.path).is_file() for chunk in Chunk.objects.all())
    assert set(Chunk.objects.values_list("reason", flat=True)) == {bad["reason"]}


def test_what_a_living_host_has_restored_without_a_segment_gets_this_one(restored: Restored) -> None:
    RecorderHost.objects.create(spool="cccc0000", name="where it was restored", seen_at=timezone.now())
    Chunk.objects.update(spool="cccc0000", path="")
    assert adoption.file_again(restored.by).segments == 3
    assert restored.is_archived()


def test_what_the_archive_has_goes_with_its_copy(restored: Restored) -> None:
    adoption.file_again(restored.by)
    assert restored.is_archived()
    Chunk.objects.update(path="")
    adoption.file_again(restored.by)
    assert list(restored.by.spool_root.rglob("*.mp4")) == []
    mirror = mirror_of(restored.by)
    assert mirror is not None
    assert [copy for copy in mirror.copies() if copy.name.endswith(".mp4")] == []


def test_what_is_of_a_session_without_a_row_waits_for_it(restored: Restored) -> None:
    session = restored.session
    keys = list(session.keys.all())
    for rows in (Chunk, Take, Closure, Gap, SessionKey):
        rows.objects.filter(session=session).delete()
    Session.objects.filter(pk=session.pk).delete()
    waits = adoption.file_again(restored.by)
    assert (waits.segments, waits.waits, waits.problems) == (0, 1, [])
    session.save(force_insert=True)
    SessionKey.objects.bulk_create(keys)
    assert adoption.file_again(restored.by).segments == 3
    assert restored.is_archived()


def test_a_directory_that_the_disk_cannot_list_hides_no_other(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, scan = restored.by.spool_root / "takes" / ("0" * 32), os.scandir
    bad.mkdir()

    def scandir(path: Any) -> Any:
        if Path(path) == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert adoption.file_again(restored.by).segments == 3
    with pytest.raises(OSError, match="Input/output"):
        list(spool_files.adopted_takes(restored.by.spool_root, UUID(int=0)))
