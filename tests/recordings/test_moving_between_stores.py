"""Blobs move to another store while everything runs: verified, resumable, and no read ever fails."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from lucid_sessions.blobs import FileBlobs, S3Blobs, Where, create_store
from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.recordings import holds, locks, moving, shredding, upkeep, verification
from lucid_sessions.recordings import installation as outside
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk
from tests.buckets import address_of, new_bucket
from tests.recordings import archived
from tests.recordings.people import person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moved(world: Installation, bucket: Where) -> Installation:
    """The world after its settings were changed: new blobs to the bucket, old ones still on the disk."""
    S3Blobs.create(bucket, world.credentials)
    return replace(world, blobs_url=address_of(bucket), also=(str(world.blobs_root),))


@pytest.fixture
def locked(world: Installation, s3_service: str) -> Installation:
    """The world with its blobs in a bucket that has Object Lock."""
    where = new_bucket(s3_service, lock=True)
    S3Blobs.create(where, world.credentials)
    return replace(world, blobs_url=address_of(where))


@contextmanager
def _readers(world: Installation, names: list[str]) -> Iterator[list[str]]:
    """What went wrong for those who read all the time."""
    wrong: list[str] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            for name in names:
                try:
                    world.blobs.check(name)
                except Exception as error:  # noqa: BLE001  whatever it is, it is wrong
                    wrong.append(f"{name}: {error}")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for one in readers:
        one.start()
    yield wrong
    over.set()
    for one in readers:
        one.join()


def test_everything_moves_to_a_bucket_and_back_and_no_read_fails(
    world: Installation, moved: Installation
) -> None:
    session = archived.sealed(world, segments=6)
    names = sorted(world.blobs.names())
    with _readers(moved, names) as wrong:
        done = moving.migrate(moved)
    assert wrong == []
    assert (done.blobs, done.copied, done.removed, done.problems) == (6, 6, 6, [])
    assert list(FileBlobs(world.blobs_root).names()) == []
    assert sorted(moved.front.names()) == names
    report = verification.verify(session, deep=True, world=moved)
    assert (report.findings, report.complete) == ([], True)
    back = replace(world, also=(moved.blobs_url,))
    with _readers(back, names) as wrong:
        assert moving.migrate(back).removed == 6
    assert wrong == []
    assert sorted(world.front.names()) == names
    assert list(moved.front.names()) == []


def test_a_migration_that_died_is_finished_by_the_next(
    world: Installation, moved: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived.sealed(world, segments=4)
    names = sorted(world.blobs.names())
    moved.front.put(world.blobs.get(names[0]), name=names[0])  # copied, and then it died
    again = moving.migrate(moved, keep=True)
    assert (again.blobs, again.copied, again.removed) == (4, 3, 0)
    last = moving.migrate(moved)
    assert (last.blobs, last.copied, last.removed) == (4, 0, 4)


def test_a_rotten_blob_is_named_and_stays_where_it_is(world: Installation, moved: Installation) -> None:
    archived.sealed(world, segments=2)
    rotten, good = sorted(world.blobs.names())
    path = world.blobs_root / rotten[:2] / rotten[2:4] / rotten
    path.write_bytes(b"rotten")
    done = moving.migrate(moved)
    assert (done.blobs, len(done.problems)) == (1, 1)
    assert rotten in done.problems[0]
    assert path.read_bytes() == b"rotten"
    assert list(moved.front.names()) == [good]


def test_a_blob_that_the_disk_does_not_give_is_named_and_the_others_move(
    world: Installation, moved: Installation
) -> None:
    archived.sealed(world, segments=3)
    bad, *good = sorted(world.blobs.names())
    path = world.blobs_root / bad[:2] / bad[2:4] / bad
    path.unlink()
    path.symlink_to("/proc/self/mem")  # EIO at its beginning
    done = moving.migrate(moved)
    assert (done.blobs, done.removed, len(done.problems)) == (2, 2, 1)
    assert bad in done.problems[0]
    assert list(moved.front.names()) == good


def test_what_is_shredded_while_it_moves_is_gone_everywhere(world: Installation, moved: Installation) -> None:
    session = archived.sealed(world, segments=2)
    name = min(world.blobs.names())
    copy = world.blobs.get(name)
    shredding.begin(session, cause="shred")
    assert archived.finish(session, moved).status == Status.DELETED
    # A mover had read the blob before, and writes it now.
    moved.front.put(copy, name=name)
    world.front.put(copy, name=name)
    moving.migrate(moved)
    assert list(moved.blobs.names()) == []


def test_new_chunks_go_to_the_new_store_meanwhile(world: Installation, moved: Installation) -> None:
    archived.sealed(world, name="before")
    session = archived.sealed(moved, name="after")
    blobs = set(Chunk.objects.filter(session=session).values_list("blob", flat=True))
    assert set(moved.front.names()) == blobs
    assert len(list(moved.blobs.names())) == 4


def test_blobs_of_old_sessions_go_to_the_store_for_them(
    world: Installation, bucket: Where, settings: pytest.FixtureRequest
) -> None:
    old, young = archived.sealed(world, days_old=40, name="old"), archived.sealed(world, name="young")
    S3Blobs.create(bucket, world.credentials)
    tiered = replace(world, tier_url=address_of(bucket))
    names = sorted(world.blobs.names())
    with _readers(tiered, names) as wrong:
        assert moving.tick(tiered) == 2
    assert wrong == []
    assert moving.tick(tiered) == 0
    assert set(tiered.layers[-1].names()) == set(
        Chunk.objects.filter(session=old).values_list("blob", flat=True)
    )
    assert verification.verify(old, deep=True, world=tiered).findings == []
    assert archived.left(young, world).blobs == 2
    shredding.begin(old, cause="shred")
    assert archived.finish(old, tiered).status == Status.DELETED
    assert list(tiered.layers[-1].names()) == []


def test_old_blobs_that_come_late_or_come_back_go_there_too(world: Installation, tmp_path: Path) -> None:
    tiers = [str(tmp_path / "cold"), str(tmp_path / "colder")]
    for address in tiers:
        create_store(address)
    tiered = replace(world, tier_url=tiers[0])
    archived.sealed(world, days_old=40)
    assert moving.tick(tiered) == 2
    archived.sealed(world, days_old=50, name="its host was lost for long")
    assert moving.tick(tiered) == 0
    known = upkeep.recall("tier completed")
    upkeep.note("tier completed", {**known, "since": known["since"] - moving.AGAIN_SECONDS})
    assert moving.tick(tiered) == 2
    assert moving.tick(replace(world, also=(tiers[0],), tier_url=tiers[1])) == 4


def test_the_command_moves_all_old_blobs_and_fails_when_one_is_rotten(
    world: Installation, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, _good = (archived.sealed(world, days_old=days) for days in (50, 40))
    settings.LUCID_STORAGE_TIER_URL = str(tmp_path / "cold")
    cold = create_store(settings.LUCID_STORAGE_TIER_URL)
    monkeypatch.setattr(moving, "SESSIONS_A_TICK", 1)
    outside.installation.cache_clear()
    for name in Chunk.objects.filter(session=bad.pk).values_list("blob", flat=True):
        (world.blobs_root / name[:2] / name[2:4] / name).write_bytes(b"rotten")
    with pytest.raises(SystemExit, match="1"):
        call_command("storage", "tier")
    assert len(list(cold.names())) == 2


def test_held_sessions_are_locked_in_the_bucket_too(locked: Installation) -> None:
    session = archived.sealed(locked, segments=2)
    name = min(locked.blobs.names())
    hold = holds.place(session, by=person("officer"), why="case 17")
    assert locks.tick(locked) == 2
    assert locks.tick(locked) == 0
    with pytest.raises(Exception, match="AccessDenied"):
        locked.blobs.delete(name)
    holds.release(session, hold["id"], by=person("deputy"), why="closed")
    assert locks.tick(locked) == 2
    shredding.begin(session, cause="shred")
    assert archived.finish(session, locked).status == Status.DELETED
    assert list(locked.blobs.names()) == []


@pytest.mark.parametrize("bad", [0, 1])
def test_a_held_blob_that_is_missing_keeps_no_other_from_its_lock(locked: Installation, bad: int) -> None:
    sessions = [archived.sealed(locked, name=name) for name in ("a", "b")]
    for session in sessions:
        holds.place(session, by=person(f"officer of {session.name}"), why="case 17")
    lost, *others = Chunk.objects.order_by("session" if bad else "-session", "sequence")
    locked.blobs.delete(lost.blob)
    assert locks.tick(locked) == 4
    assert locks.tick(locked) == 0
    for chunk in others:
        with pytest.raises(Retryable, match="AccessDenied"):
            locked.blobs.delete(chunk.blob)


class _Dying(S3Blobs):
    """A store whose caller is killed when it has locked a blob."""

    def lock(self, name: str) -> None:
        super().lock(name)
        raise SystemExit("killed")


def test_what_one_who_was_killed_had_locked_can_be_shredded_once_it_is_released(locked: Installation) -> None:
    session = archived.sealed(locked)
    hold = holds.place(session, by=person("officer"), why="case 17")
    dying = replace(locked)
    vars(dying)["front"] = _Dying(Where.parse(locked.blobs_url), locked.credentials)
    with pytest.raises(SystemExit):
        locks.tick(dying)
    holds.release(session, hold["id"], by=person("deputy"), why="closed")
    assert locks.tick(locked) == 2
    assert locks.tick(locked) == 0
    shredding.begin(session, cause="shred")
    assert archived.finish(session, locked).status == Status.DELETED
    assert list(locked.blobs.names()) == []


def test_the_command_says_where_blobs_are_and_moves_them(
    world: Installation, bucket: Where, settings: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    archived.sealed(world, segments=2)
    _storage("create", address_of(bucket))
    settings.STORAGE_URL, settings.LUCID_STORAGE_ALSO = address_of(bucket), (str(world.blobs_root),)
    outside.installation.cache_clear()
    capsys.readouterr()
    _storage("status", "--json")
    stores = json.loads(capsys.readouterr().out)["stores"]
    assert [(one["role"], one["blobs"]) for one in stores] == [("new blobs", 0), ("older store", 2)]
    _storage("migrate")
    assert "2 blobs are in s3://" in capsys.readouterr().out
    _storage("status")
    assert "new blobs    s3://" in capsys.readouterr().out


def test_a_migration_from_nowhere_is_refused(world: Installation) -> None:
    with pytest.raises(Refused, match="LUCID_STORAGE_ALSO"):
        moving.migrate(world)


def _storage(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("storage", *words)
    assert not ended.value.code
