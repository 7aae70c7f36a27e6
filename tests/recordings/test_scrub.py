"""Scrub: every stored blob is verified again and again, without a key, and a bad one is an alarm."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.blobs import FileBlobs
from lucid_sessions.errors import Retryable, Tampered
from lucid_sessions.operations import gauges
from lucid_sessions.recordings import observation, playback, quota, requeue, scrub, shredding, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


def _path(world: Installation, name: str) -> object:
    return world.blobs_root / name[:2] / name[2:4] / name


def _age(days: float) -> None:
    Chunk.objects.update(stored_at=timezone.now() - timedelta(days=days), verified_at=None)


def _whole(world: Installation, **options: object) -> scrub.Tally:
    return [scrub.Tally(), *scrub.run(world, **options)][-1]


def test_every_blob_is_verified_without_any_password(without_password: Installation) -> None:
    archived.sealed(without_password, segments=3)
    tally = _whole(without_password)
    assert (tally.chunks, tally.bad) == (3, [])
    assert not Chunk.objects.filter(verified_at__isnull=True).exists()


@pytest.mark.parametrize("place", [0, 130, 300, -1])
def test_a_flipped_bit_is_found_quarantined_and_told(world: Installation, place: int) -> None:
    archived.sealed(world)
    chunk = Chunk.objects.order_by("sequence").first()
    path = _path(world, chunk.blob)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    heard: list[observation.StageDone] = []
    observation.register(heard.append)
    with structlog.testing.capture_logs() as said:
        tally = _whole(world)
    assert len(tally.bad) == 1
    chunk.refresh_from_db()
    assert chunk.quarantined_at is not None
    assert chunk.reason.startswith("scrub: ")
    assert [one["log_level"] for one in said if one["event"] == "a stored blob is bad"] == ["error"]
    alarms = [one for one in heard if one.stage == "scrub" and one.outcome == "quarantined"]
    assert [one.error_type for one in alarms] == ["Tampered"]


def test_what_is_bad_in_the_archive_is_counted_and_listed_with_what_to_do(world: Installation) -> None:
    """It was "no chunk is in quarantine", or the advice to put back what cannot be made anew."""
    archived.sealed(world)
    chunk = Chunk.objects.order_by("sequence").first()
    path = _path(world, chunk.blob)
    content = path.read_bytes()
    path.write_bytes(b"rot")
    _whole(world)
    assert gauges.look().quarantined == {"pipeline": 0, "archive": 1}
    (found,) = requeue.troubles()
    assert (found.id, found.quarantined, found.stage) == (chunk.pk, True, "")
    assert f"from a backup, under its name {chunk.blob}" in found.next_step
    path.write_bytes(content)
    _whole(world)
    assert (requeue.troubles(), gauges.look().quarantined["archive"]) == ([], 0)


def test_a_lost_a_swapped_and_a_cut_blob_are_found(world: Installation) -> None:
    archived.sealed(world, segments=4)
    lost, swapped, cut, good = Chunk.objects.order_by("sequence")
    _path(world, lost.blob).unlink()
    _path(world, swapped.blob).write_bytes(_path(world, good.blob).read_bytes())
    _path(world, cut.blob).write_bytes(_path(world, cut.blob).read_bytes()[:-1])
    assert len(_whole(world).bad) == 3
    assert list(Chunk.objects.filter(quarantined_at__isnull=True)) == [good]


def test_a_blob_that_became_endless_takes_no_memory_and_hides_no_other(world: Installation) -> None:
    session = archived.sealed(world, segments=3)
    endless, rotten, good = Chunk.objects.order_by("sequence")
    right = _path(world, endless.blob).read_bytes()
    os.truncate(_path(world, endless.blob), 1 << 42)
    _path(world, rotten.blob).write_bytes(b"rotten")
    _age(3)
    assert len(scrub.tick(world).bad) == 2
    assert list(Chunk.objects.filter(quarantined_at__isnull=True)) == [good]
    assert len(verification.verify(session).findings) == 2
    assert _whole(world, replicas=[lambda _: right]).repaired == [endless.blob]
    assert world.blobs.check(endless.blob) == len(right)
    (aside,) = (world.blobs_root / "quarantine").iterdir()
    assert aside.read_bytes().startswith(right)


def test_a_blob_that_the_disk_does_not_give_is_named_repaired_and_hides_no_other(world: Installation) -> None:
    session = archived.sealed(world, segments=4)
    bad, folder, rotten, good = Chunk.objects.order_by("sequence")
    right = _path(world, bad.blob).read_bytes()
    for chunk in (bad, folder):
        _path(world, chunk.blob).unlink()
    _path(world, bad.blob).symlink_to("/proc/self/mem")  # EIO at its beginning
    _path(world, folder.blob).mkdir()
    _path(world, rotten.blob).write_bytes(b"rotten")
    _age(3)
    assert len(scrub.tick(world).bad) == 3
    assert list(Chunk.objects.filter(quarantined_at__isnull=True)) == [good]
    bad.refresh_from_db()
    assert "Check that disk" in bad.reason
    assert len(verification.verify(session).findings) == 3
    with pytest.raises(Tampered, match="cannot be read"):
        playback.segment(folder)
    tally = _whole(world, replicas=[{bad.blob: right}.get])
    assert tally.repaired == [bad.blob]
    assert list(Chunk.objects.filter(session=session, quarantined_at=None).order_by("sequence")) == [
        bad,
        good,
    ]


def test_a_bad_blob_is_an_alarm_once_and_stays_in_quarantine(world: Installation) -> None:
    archived.sealed(world)
    chunk = Chunk.objects.first()
    _path(world, chunk.blob).write_bytes(b"nonsense")
    _whole(world)
    since = Chunk.objects.get(pk=chunk.pk).quarantined_at
    with structlog.testing.capture_logs() as said:
        assert len(_whole(world).bad) == 1
    assert [one for one in said if one["log_level"] == "error"] == []
    assert Chunk.objects.get(pk=chunk.pk).quarantined_at == since


def test_a_blob_that_was_restored_ends_its_quarantine(world: Installation) -> None:
    session = archived.sealed(world)
    chunk = Chunk.objects.first()
    path = _path(world, chunk.blob)
    right = path.read_bytes()
    path.write_bytes(b"nonsense")
    _whole(world)
    path.write_bytes(right)
    _whole(world)
    chunk.refresh_from_db()
    assert (chunk.quarantined_at, chunk.reason) == (None, "")
    assert verification.verify(session, deep=True).findings == []


def test_a_replica_repairs_and_the_bad_bytes_are_kept(world: Installation) -> None:
    session = archived.sealed(world)
    chunk = Chunk.objects.first()
    path = _path(world, chunk.blob)
    right = path.read_bytes()
    path.write_bytes(b"nonsense")
    tally = _whole(world, replicas=[lambda name: None, lambda name: b"lies", lambda name: right])
    assert tally.repaired == [chunk.blob]
    chunk.refresh_from_db()
    assert chunk.quarantined_at is None
    assert verification.verify(session).findings == []
    assert [path.read_bytes() for path in (world.blobs_root / "quarantine").iterdir()] == [b"nonsense"]


def test_a_blob_that_no_replica_has_right_stays_bad(world: Installation) -> None:
    archived.sealed(world)
    _path(world, Chunk.objects.first().blob).unlink()
    assert _whole(world, replicas=[lambda name: b"lies"]).repaired == []


def test_a_store_that_is_not_mounted_is_no_alarm(world: Installation) -> None:
    archived.sealed(world)
    (world.blobs_root / "lucid-blobs").rename(world.blobs_root / "away")
    for shard in world.blobs_root.iterdir():
        shard.rename(shard.with_name(f"{shard.name}-away"))
    with pytest.raises(Retryable):
        _whole(world)
    assert not Chunk.objects.filter(quarantined_at__isnull=False).exists()


def test_the_longest_unverified_come_first_and_a_tick_is_bounded(world: Installation) -> None:
    archived.sealed(world, segments=5)
    _age(3)
    chunks = list(Chunk.objects.order_by("sequence"))
    now = timezone.now()
    Chunk.objects.filter(pk=chunks[0].pk).update(verified_at=now - timedelta(days=2))
    Chunk.objects.filter(pk=chunks[1].pk).update(verified_at=now - timedelta(days=9))
    Chunk.objects.filter(pk=chunks[2].pk).update(verified_at=now)
    tally = scrub.tick(world, page=2, most=3)
    assert tally.chunks == 4
    unverified = Chunk.objects.exclude(verified_at__gt=now - timedelta(hours=1))
    assert [chunk.pk for chunk in unverified] == []
    assert scrub.tick(world).chunks == 0


def test_what_was_stored_or_verified_lately_is_left_alone(world: Installation) -> None:
    archived.sealed(world)
    assert scrub.tick(world).chunks == 0


def test_a_chunk_that_expires_while_it_is_read_is_no_alarm(world: Installation) -> None:
    session = archived.sealed(world)
    page = list(Chunk.objects.all())
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    tally = scrub.Tally()
    scrub.check_page(page, world=world, tally=tally)
    assert (tally.bad, Chunk.objects.filter(quarantined_at__isnull=False).count()) == ([], 0)


def test_the_gauge_is_the_age_of_the_longest_unverified(world: Installation) -> None:
    assert scrub.oldest_unverified_seconds() == 0
    archived.sealed(world)
    _age(3)
    assert 3 * 86400 <= scrub.oldest_unverified_seconds() < 3.1 * 86400
    _whole(world)
    assert scrub.oldest_unverified_seconds() < 3600


def test_the_command_fails_when_a_blob_is_bad(
    world: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    archived.sealed(world)
    with pytest.raises(SystemExit, match="0"):
        call_command("scrub")
    _path(world, Chunk.objects.first().blob).unlink()
    with pytest.raises(SystemExit, match="1"):
        call_command("scrub")
    assert "1 bad" in capsys.readouterr().out


def test_a_large_archive_is_still_verified_once_a_month() -> None:
    ninety_tb = quota.Usage("the archive", 90 * 10**12, 0, files=90_000_000)
    size, chunks = scrub.bounds(ninety_tb)
    ticks = 35 * 86400 / scrub.TICK_SECONDS
    assert size * ticks > ninety_tb.used
    assert chunks * ticks > ninety_tb.files
    assert scrub.bounds(quota.Usage("the archive", 0, 0)) == (scrub.BYTES_A_TICK, scrub.CHUNKS_A_TICK)


def test_scrub_repairs_from_the_replica_and_the_backup_that_the_settings_name(
    world: Installation, tmp_path: Path, settings: Any
) -> None:
    archived.sealed(world, segments=2)
    first, second = Chunk.objects.order_by("sequence")
    replica, backups = tmp_path / "replica", tmp_path / "backups"
    for root, chunk in ((replica, first), (backups / "blobs", second)):
        FileBlobs.create(root).put(world.blobs.get(chunk.blob), name=chunk.blob)
    settings.LUCID_REPLICA_URL, settings.LUCID_BACKUP_URL = str(replica), str(backups)
    for chunk in (first, second):
        _path(world, chunk.blob).write_bytes(b"rotten")
    for code in (1, 0):  # they were bad, and are repaired
        with pytest.raises(SystemExit) as ended:
            call_command("scrub")
        assert ended.value.code == code
    assert [world.blobs.check(chunk.blob) for chunk in (first, second)] == [
        chunk.blob_length for chunk in (first, second)
    ]
    assert not Chunk.objects.filter(quarantined_at__isnull=False).exists()
