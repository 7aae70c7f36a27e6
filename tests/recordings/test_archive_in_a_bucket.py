"""The archive's life with its blobs in a bucket: scrub, orphans, shredding, quota, a service that is away."""

from dataclasses import replace
from pathlib import Path

import pytest
from django.utils import timezone

from lucid_sessions.blobs import FileBlobs, blob_name, create_store
from lucid_sessions.errors import Retryable
from lucid_sessions.operations import health, upkeep
from lucid_sessions.recordings import (
    holds,
    locks,
    orphans,
    quota,
    reconcile,
    scrub,
    sessions,
    shredding,
    verification,
)
from lucid_sessions.recordings import (
    installation as outside,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import BAD_BLOB, State, Status
from lucid_sessions.recordings.models import Chunk
from tests import factories
from tests.buckets import address_of, between, everything_in, new_bucket, owner
from tests.recordings import archived
from tests.recordings.people import person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(s3_world: Installation) -> Installation:
    return s3_world


def _forge(world: Installation, name: str, content: bytes) -> None:
    where = world.blobs.bucket.where
    owner(where).put_object(Bucket=where.bucket, Key=f"archive/blobs/{name}", Body=content)


def test_what_is_recorded_is_in_the_bucket_and_nowhere_else(world: Installation) -> None:
    session = archived.sealed(world, segments=3)
    chunks = Chunk.objects.filter(session=session)
    assert set(world.blobs.names()) == {chunk.blob for chunk in chunks}
    assert not world.blobs_root.exists()
    report = verification.verify(session, deep=True)
    assert (report.findings, report.complete) == ([], True)


def test_scrub_finds_a_bad_object_keeps_it_aside_and_takes_a_good_copy(world: Installation) -> None:
    archived.sealed(world, segments=2)
    bad, lost = Chunk.objects.order_by("sequence")
    copies = {chunk.blob: world.blobs.get(chunk.blob) for chunk in (bad, lost)}
    _forge(world, bad.blob, b"nonsense")
    world.blobs.delete(lost.blob)
    tally = [*scrub.run(world)][-1]
    assert len(tally.bad) == 2
    Chunk.objects.update(verified_at=None)
    tally = [*scrub.run(world, replicas=[copies.get])][-1]
    assert len(tally.repaired) == 2
    assert {name: world.blobs.get(name) for name in copies} == copies
    kept = [
        content for key, content in everything_in(world.blobs.bucket.where).items() if "quarantine" in key
    ]
    assert kept == [b"nonsense"]


def test_a_bad_blob_under_legal_hold_is_repaired_and_locked_again(
    world: Installation, s3_service: str
) -> None:
    where = new_bucket(s3_service, lock=True)
    create_store(address_of(where), world.credentials)
    world = replace(world, blobs_url=address_of(where))
    session = archived.sealed(world, segments=3)
    hold = holds.place(session, by=person("officer"), why="case 17")
    locks.tick(world)
    bad = Chunk.objects.order_by("sequence").first()
    right = world.blobs.get(bad.blob)
    _forge(world, bad.blob, b"nonsense")
    world.blobs.lock(bad.blob)
    Chunk.objects.update(verified_at=None)
    tally = [*scrub.run(world, replicas=[lambda name: right if name == bad.blob else None])][-1]
    assert (tally.repaired, world.blobs.get(bad.blob)) == ([bad.blob], right)
    assert not Chunk.objects.filter(quarantined_at__isnull=False).exists()
    with pytest.raises(Retryable, match="AccessDenied"):
        world.blobs.delete(bad.blob)
    holds.release(session, hold["id"], by=person("deputy"), why="closed")
    locks.tick(world)
    shredding.begin(session, cause="shred")
    assert archived.finish(session, world).status == Status.DELETED
    assert not [key for key in everything_in(where) if "/blobs/" in key]


def test_a_repaired_blob_that_cannot_be_locked_yet_is_locked_soon_and_keeps_nobody_waiting(
    world: Installation, s3_service: str
) -> None:
    where, full = new_bucket(s3_service, lock=True), [False]
    create_store(address_of(where), world.credentials)

    def change(method: str, path: str, body: bytes) -> bytes | None:
        return None if full[0] and method == "PUT" and "legal-hold" in path else body

    with between(where, change) as there:
        world = replace(world, blobs_url=address_of(there))
        session = archived.sealed(world, segments=3)
        holds.place(session, by=person("officer"), why="case 17")
        locks.tick(world)
        bad = Chunk.objects.order_by("sequence").first()
        right = world.blobs.get(bad.blob)
        _forge(world, bad.blob, b"nonsense")
        Chunk.objects.update(verified_at=None)
        full[0] = True
        assert [*scrub.run(world, replicas=[{bad.blob: right}.get])][-1].repaired == [bad.blob]
        for _ in range(2):
            waits = Chunk.objects.get(quarantined_at__isnull=False)
            assert (waits.pk, waits.reason.startswith(BAD_BLOB)) == (bad.pk, True)
            assert "cannot be locked" in waits.reason
            assert scrub.tick(world).chunks == 1, "the others were verified a moment ago"
        full[0] = False
        scrub.tick(world)
        assert not Chunk.objects.filter(quarantined_at__isnull=False).exists()
        with pytest.raises(Retryable, match="AccessDenied"):
            world.blobs.delete(bad.blob)
        assert scrub.tick(world).chunks == 0


def test_blobs_that_cannot_be_locked_take_turns_and_nothing_from_the_others_bound(
    world: Installation, s3_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, asked = new_bucket(s3_service, lock=True), list[str]()
    create_store(address_of(where), world.credentials)

    def change(method: str, path: str, body: bytes) -> bytes | None:
        if method == "PUT" and "legal-hold" in path:
            asked.append(path)
            return None
        return body

    with between(where, change) as there:
        world = replace(world, blobs_url=address_of(there))
        session = archived.sealed(world, segments=4)
        holds.place(session, by=person("officer"), why="case 17")
        bad = list(Chunk.objects.order_by("sequence")[:2])
        unlocked = {"quarantined_at": timezone.now(), "reason": f"{scrub.UNLOCKED}the bucket is full"}
        Chunk.objects.update(verified_at=None)
        Chunk.objects.filter(pk__in=[one.pk for one in bad]).update(verified_at=timezone.now(), **unlocked)
        monkeypatch.setattr(scrub, "BYTES_A_TICK", 1)
        scrub.tick(world, page=1)
        assert Chunk.objects.filter(quarantined_at=None, verified_at__isnull=False).count() == 1
        scrub.tick(world, page=1)
    assert Chunk.objects.filter(quarantined_at=None, verified_at__isnull=False).count() == 2
    for one in bad:
        assert any(one.blob in path for path in asked), "each was tried"


def test_a_repair_that_fails_keeps_nobody_else_from_being_verified(
    world: Installation, tmp_path: Path
) -> None:
    files = replace(world, blobs_url=str(tmp_path / "blobs"))
    FileBlobs.create(tmp_path / "blobs")
    archived.sealed(files, segments=3)
    bad = Chunk.objects.order_by("sequence").first()
    right, path = files.blobs.get(bad.blob), tmp_path / "blobs" / bad.blob[:2] / bad.blob[2:4] / bad.blob
    path.write_bytes(b"nonsense")
    (tmp_path / "blobs/quarantine").write_text("no directory, so nothing can be put aside")
    Chunk.objects.update(verified_at=None)
    tally = scrub.Tally()
    scrub.check_page(
        list(Chunk.objects.order_by("sequence")), world=files, tally=tally, replicas=[lambda _: right]
    )
    assert (tally.chunks, tally.repaired, len(tally.bad)) == (3, [], 1)
    assert not Chunk.objects.filter(verified_at=None).exists()
    assert path.read_bytes() == b"nonsense", "evidence that is kept nowhere else"


def test_orphans_go_when_they_are_old_and_others_stay(world: Installation) -> None:
    session = archived.sealed(world, segments=1)
    factories.acknowledge(session, world, counter=2)
    factories.file_spool(world)
    reconcile.work_inline(world)
    chunk = Chunk.objects.order_by("sequence").last()
    was = chunk.blob
    Chunk.objects.filter(pk=chunk.pk).update(blob=blob_name(b"another"))
    assert orphans.collect(world, older_than_seconds=3600) == 0
    assert orphans.collect(world, older_than_seconds=-60) == 1
    assert not world.blobs.exists(was)
    assert world.blobs.exists(Chunk.objects.order_by("sequence").first().blob)


def test_a_shredded_session_leaves_no_object(world: Installation) -> None:
    session, other = archived.sealed(world, name="gone"), archived.sealed(world, name="stays")
    shredding.begin(session, cause="shred")
    assert archived.finish(session, world).status == Status.DELETED
    assert archived.left(session, world) == archived.NOTHING
    assert archived.left(other, world).blobs == 2
    keys = [key for key in everything_in(world.blobs.bucket.where) if "/blobs/" in key]
    assert len(keys) == 2


def test_chunks_wait_while_the_service_is_away_and_go_on_when_it_is_back(world: Installation) -> None:
    session = factories.recorded_session(world, segments=2)
    where, away = (
        world.blobs.bucket.where,
        replace(world, blobs_url="s3://vault/?endpoint=http://127.0.0.1:9"),
    )
    reconcile.work_inline(away)
    waiting = Chunk.objects.filter(session=session)
    assert {chunk.state for chunk in waiting} < {State.RECORDED, State.ENCRYPTED, State.COMPRESSED}
    assert all("Could not" in chunk.reason and "vault" in chunk.reason for chunk in waiting)
    assert not waiting.filter(quarantined_at__isnull=False).exists()
    waiting.update(next_attempt_at=None)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert (session.status, len(list(world.blobs.names()))) == (Status.COMPLETED, 2)
    assert where.bucket in world.blobs.place


def test_quota_admission_health_and_upkeep_know_that_a_bucket_has_no_disk(
    world: Installation, settings: pytest.FixtureRequest
) -> None:
    archived.sealed(world)
    quota.tick()
    assert [usage.what for usage in quota.usages()] == ["the archive"]
    assert quota.stored().used > sum(world.blobs.size(name) for name in world.blobs.names())
    sessions.admit()
    assert health.storage_has_room()
    report = upkeep.maintain(world)
    assert report.wrong == []
    assert any("2 blobs in the store" in line for line in report.done)
    outside.installation.cache_clear()
    settings.STORAGE_URL = "s3://vault/?endpoint=http://127.0.0.1:9"
    with pytest.raises(Retryable, match="EndpointConnectionError"):
        health.storage_has_room()
