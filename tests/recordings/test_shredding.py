"""Shredding: nothing of the session is left or comes back, and what existed stays proven."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.recordings import (
    playback,
    receipts,
    reconcile,
    sealing,
    shredding,
    tombstones,
    verification,
)
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, LedgerRequest, Session, Take
from tests import factories
from tests.recordings import archived
from tests.recordings.people import person

pytestmark = pytest.mark.django_db(transaction=True)


def test_nothing_is_left_but_rows_and_the_record(world: Installation) -> None:
    session = archived.sealed(world)
    other = archived.sealed(world, name="another")
    before = archived.left(session, world)
    assert (before.keys > 0, before.blobs) == (True, 2)
    shredding.begin(session, cause="shred", by=person("officer"), why="asked for")
    archived.finish(session, world)
    assert session.status == Status.DELETED
    assert archived.left(session, world) == archived.NOTHING
    assert set(Chunk.objects.filter(session=session).values_list("state", flat=True)) == {State.EXPIRED}
    assert archived.left(other, world).blobs == 2


def test_how_long_it_takes_is_known_until_it_is_done(world: Installation) -> None:
    assert tombstones.oldest_expiring_seconds() == 0
    for hours in (2, 50, 3):
        session = archived.sealed(world, name=f"{hours} hours")
        shredding.begin(session, cause="shred")
        since = timezone.now() - timedelta(hours=hours)
        expiry = {**(session.expiry or {}), "at": since.isoformat()}
        Session.objects.filter(pk=session.pk).update(expiry=expiry)
    assert tombstones.oldest_expiring_seconds() // 3600 == 50
    archived.finish(session, world)
    assert tombstones.oldest_expiring_seconds() == 0


def test_the_record_holds_ids_and_figures_only(world: Installation) -> None:
    session = archived.sealed(world, name="Secret project", project="Acme")
    keys = archived.left(session, world).keys
    officer = person("officer")
    shredding.begin(session, cause="shred", by=officer, why="a private reason")
    archived.finish(session, world)
    entry = LedgerRecord.objects.get(kind="shredded").entry
    facts = json.loads(entry)
    assert (facts["session"], facts["by"], facts["cause"]) == (str(session.pk), str(officer.pk), "shred")
    assert (facts["chunks"], facts["blobs"], facts["keys"]) == (2, 2, keys)
    assert facts["sealed"] == session.sealed_record
    assert not [word for word in ("Secret", "Acme", "private", "officer") if word in entry]


def test_the_receipt_proves_the_record_without_us(world: Installation) -> None:
    session = archived.sealed(world)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    archived.sealed(world, name="later")
    receipt = receipts.receipt(session, world=world)
    checkpoint = archive.open_checkpoint(receipt["checkpoint"], receipt["log"])
    proof = {
        "index": receipt["index"],
        "size": checkpoint.size,
        "proof": [bytes.fromhex(one) for one in receipt["proof"]],
        "root": checkpoint.root,
    }
    archive.verify_inclusion(archive.leaf_hash(receipt["entry"].encode()), **proof)
    with pytest.raises(Tampered):
        archive.verify_inclusion(archive.leaf_hash(receipt["entry"].encode() + b" "), **proof)


def test_a_receipt_is_refused_for_a_kept_session_and_waited_for_before_the_record(
    world: Installation,
) -> None:
    session = archived.sealed(world)
    with pytest.raises(Refused, match="not shredded"):
        receipts.receipt(session, world=world)
    shredding.begin(session, cause="shred")
    with pytest.raises(Retryable, match="not recorded yet"):
        receipts.receipt(session, world=world)


def test_a_blob_without_its_key_stays_unreadable_even_if_somebody_kept_it(world: Installation) -> None:
    session = archived.sealed(world)
    chunk = Chunk.objects.filter(session=session).first()
    copy = world.blobs.get(chunk.blob)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    world.blobs.put(copy, name=chunk.blob)
    with pytest.raises(Refused, match="shredded"):
        playback.session_identity(session.pk, "screen", world=world)


@pytest.mark.parametrize("step", shredding.STEPS, ids=lambda step: step.__name__)
def test_every_step_may_be_done_again_and_by_several(world: Installation, step: object) -> None:
    session = archived.sealed(world)
    shredding.begin(session, cause="shred")
    for one in shredding.STEPS:
        for _ in range(3 if one is step else 1):
            one(session.pk, world, 100)
    archived.finish(session, world)
    assert (session.status, archived.left(session, world)) == (Status.DELETED, archived.NOTHING)
    assert LedgerRecord.objects.filter(kind="shredded").count() == 1


def test_a_long_session_goes_in_bounded_turns(world: Installation) -> None:
    session = archived.sealed(world, segments=5)
    shredding.begin(session, cause="shred")
    assert [shredding.tick(world, limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_another_hosts_spool_is_waited_for_until_that_host_has_cleared_it(world: Installation) -> None:
    session = archived.sealed(world)
    Take.objects.create(session=session, number=2, host="far", spool="ffffffff", lease_until=session.ended_at)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    assert list(shredding.waits_for(session)) == ["spool ffffffff on far"]
    assert archived.left(session, world) == archived.NOTHING
    assert not LedgerRequest.objects.filter(kind="shredded").exists()
    shredding.declare_lost(session, spool="ffffffff")
    archived.finish(session, world)
    assert session.status == Status.DELETED
    assert json.loads(LedgerRecord.objects.get(kind="shredded").entry)["lost_spools"] == ["ffffffff"]


def test_the_command_says_what_to_do_about_a_spool_that_it_waits_for(
    world: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    session = archived.sealed(world)
    Take.objects.create(session=session, number=2, host="far", spool="ffffffff", lease_until=session.ended_at)
    shredding.begin(session, cause="shred")
    with pytest.raises(SystemExit) as ended:
        call_command("shred", str(session.pk))
    assert ended.value.code == 3
    said = capsys.readouterr().out
    assert "waits for: spool ffffffff on far. `manage.py recorder` there" in said
    assert "--lost-spool ID" in said


def test_one_session_that_waits_does_not_hold_up_another(world: Installation) -> None:
    waiting, other = archived.sealed(world, days_old=9), archived.sealed(world, name="other")
    Take.objects.create(session=waiting, number=2, host="far", spool="ffffffff", lease_until=waiting.ended_at)
    for session in (waiting, other):
        shredding.begin(session, cause="shred")
    archived.finish(other, world)
    assert other.status == Status.DELETED


def test_keys_that_are_not_mounted_are_not_taken_for_deleted(world: Installation) -> None:
    session = archived.sealed(world)
    keys, away = world.keys_root / "sessions", world.keys_root / "elsewhere"
    keys.rename(away)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    assert (session.status, list(shredding.waits_for(session))) == (Status.EXPIRING, ["its sealed keys"])
    away.rename(keys)
    archived.finish(session, world)
    assert (session.status, archived.left(session, world)) == (Status.DELETED, archived.NOTHING)


def test_a_blob_store_that_is_away_is_waited_for(world: Installation) -> None:
    session = archived.sealed(world)
    marker = next(world.blobs_root.glob("lucid-blobs"))
    marker.rename(world.blobs_root / "gone")
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    assert list(shredding.waits_for(session)) == ["2 chunks"]
    (world.blobs_root / "gone").rename(marker)
    assert archived.finish(session, world).status == Status.DELETED


def test_a_row_that_names_anothers_blob_does_not_take_it_along(world: Installation) -> None:
    session, victim = archived.sealed(world), archived.sealed(world, name="held")
    target = Chunk.objects.filter(session=victim).first()
    forged = Chunk.objects.filter(session=session).first()
    Chunk.objects.filter(pk=forged.pk).update(blob=target.blob)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    assert world.blobs.exists(target.blob)


def test_files_of_the_session_in_the_spools_quarantine_go_too(world: Installation) -> None:
    session = archived.sealed(world)
    aside = world.spool_root / "quarantine"
    aside.mkdir()
    (aside / f"{session.pk.hex}_screen_strange.mp4").write_bytes(b"plain pictures")
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    assert list(aside.iterdir()) == []


def test_a_session_that_was_never_started_can_go(world: Installation) -> None:
    from lucid_sessions.recordings import sessions

    session = sessions.create("synthetic://64x48", name="never started")
    shredding.begin(session, cause="shred")
    assert archived.finish(session, world).status == Status.DELETED
    assert archived.left(session, world) == archived.NOTHING


@pytest.mark.parametrize("status", ["starting", "recording", "paused", "stopping", "processing"])
def test_a_live_session_cannot_go(world: Installation, status: str) -> None:
    session = factories.recorded_session(world, segments=1)
    Session.objects.filter(pk=session.pk).update(status=status)
    with pytest.raises(Refused, match="only what has ended"):
        shredding.begin(session, cause="shred")


def test_twice_is_once(world: Installation) -> None:
    session = archived.sealed(world)
    shredding.begin(session, cause="shred", why="first")
    shredding.begin(session, cause="shred", why="second")
    assert session.expiry["why"] == "first"
    archived.finish(session, world)
    assert shredding.begin(session, cause="shred").status == Status.DELETED


def test_a_segment_that_comes_after_the_end_is_not_filed(world: Installation) -> None:
    session = archived.sealed(world)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    factories.acknowledge(session, world, counter=9)
    assert factories.file_spool(world) == []
    reconcile.work_inline(world)
    sealing.seal(world)
    assert list(world.spool.segments()) == []
    assert archived.left(session, world).blobs == 0


def test_verify_says_shredded_and_the_proofs_still_hold(world: Installation) -> None:
    session = archived.sealed(world)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    report = verification.verify(session, deep=True)
    assert (report.findings, report.checked, report.complete) == ([], 2, True)
    assert report.verdict.startswith("shredded (record ")
    with pytest.raises(SystemExit, match="0"):
        call_command("verify", str(session.pk))


def test_verify_waits_for_a_session_that_is_on_its_way_out(world: Installation) -> None:
    session = archived.sealed(world)
    shredding.begin(session, cause="shred")
    with pytest.raises(SystemExit, match="3"):
        call_command("verify", str(session.pk))


def test_a_row_that_only_claims_to_be_shredded_hides_no_lost_blob(world: Installation) -> None:
    session = archived.sealed(world)
    world.blobs.delete(Chunk.objects.filter(session=session).first().blob)
    Session.objects.filter(pk=session.pk).update(status=Status.DELETED)
    session.refresh_from_db()
    assert not verification.verify(session).integrity


def test_a_shredded_row_that_was_changed_is_found_out(world: Installation) -> None:
    session = archived.sealed(world)
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    Chunk.objects.filter(session=session).update(blob="ab" * 32)
    assert len(verification.verify(session).findings) == 2
