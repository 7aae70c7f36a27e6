"""From acknowledged segments to a sealed session, by the engine itself: the same result however it is cut."""

import pytest

from lucid_sessions.errors import Refused
from lucid_sessions.recordings import pipeline, reconcile, sealing, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, State, Status
from lucid_sessions.recordings.models import Checkpoint, Chunk, LedgerRecord
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_recorded_segments_end_up_anchored_and_the_session_sealed(world: Installation) -> None:
    session = factories.recorded_session(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert (session.status, session.sealed_revision) == (Status.COMPLETED, 1)
    assert set(Chunk.objects.values_list("state", flat=True)) == {State.ANCHORED}
    report = verification.verify(session, deep=True)
    assert report.findings == []
    assert (report.checked, report.complete) == (3, True)


def test_stage_by_stage_gives_the_same_facts_as_all_at_once(world: Installation) -> None:
    apart = factories.recorded_session(world, name="apart")
    fused = factories.recorded_session(world, name="fused")
    for stage in [name for name in STAGES if name != "anchor"]:
        pipeline.run([stage], _ids(apart), world=world)
    pipeline.run(["capture", "compress", "encrypt", "store"], _ids(fused), world=world)
    same = (
        "sequence",
        "state",
        "raw_sha256",
        "frames",
        "codec",
        "packed_length",
        "packed_sha256",
        "blob_length",
    )
    assert _facts(apart, same) == _facts(fused, same)
    assert list(world.scratch.root.glob("*")) == []


def test_a_worker_without_the_password_completes_the_chain(without_password: Installation) -> None:
    session = factories.recorded_session(without_password)
    reconcile.work_inline(without_password)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    with pytest.raises(Refused, match="ENCRYPTION_PASSWORD"):
        verification.verify(session, deep=True)


def test_lost_scratch_bytes_send_the_chunk_back_to_its_segment(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    pipeline.run(["capture", "compress"], _ids(session), world=world)
    for path in world.scratch.root.iterdir():
        path.write_bytes(b"torn")
    pipeline.run(["encrypt"], _ids(session), world=world)
    assert Chunk.objects.get().state == State.CAPTURED
    reconcile.work_inline(world)
    assert verification.verify(session, deep=True).findings == []


def test_one_bad_segment_is_quarantined_and_the_others_go_on(world: Installation) -> None:
    session = factories.recorded_session(world, segments=2)
    factories.acknowledge(session, world, counter=3, content=b"this is no video at all")
    factories.close(session, world, last_counter=3)
    factories.file_spool(world)
    reconcile.work_inline(world)
    bad = Chunk.objects.get(quarantined_at__isnull=False)
    assert bad.state == State.RECORDED
    assert bad.reason.startswith("capture: ")
    assert Chunk.objects.filter(state=State.ANCHORED).count() == 2


def test_a_chunk_that_comes_after_the_seal_makes_a_new_revision(world: Installation) -> None:
    session = factories.recorded_session(world, segments=2)
    reconcile.work_inline(world)
    factories.acknowledge(session, world, counter=3)
    factories.file_spool(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert (session.status, session.sealed_revision) == (Status.COMPLETED, 2)
    assert verification.verify(session).checked == 3


def test_what_never_arrived_is_named_in_the_seal(world: Installation) -> None:
    session = factories.recorded_session(world, segments=3)
    Chunk.objects.filter(session=session, sequence=(1 << 32) + 2).delete()
    next(path for path, name in world.spool.segments() if name.counter == 2).unlink()
    reconcile.work_inline(world)
    report = verification.verify(session)
    assert (report.integrity, report.complete) == (True, False)
    assert [(one["sequence"] & 0xFF, one["reason"]) for one in report.missing] == [(2, "never arrived")]


def test_sealing_again_appends_nothing(world: Installation) -> None:
    factories.recorded_session(world)
    reconcile.work_inline(world)
    before = LedgerRecord.objects.count(), Checkpoint.objects.count()
    assert sealing.seal(world) == 0
    assert (LedgerRecord.objects.count(), Checkpoint.objects.count()) == before


def _ids(session: object) -> list[object]:
    return list(Chunk.objects.filter(session=session).order_by("sequence").values_list("pk", flat=True))


def _facts(session: object, fields: tuple[str, ...]) -> list[tuple[object, ...]]:
    return list(Chunk.objects.filter(session=session).order_by("sequence").values_list(*fields))
