"""Quarantined chunks are put back as they are chosen: by stage, by reason, by session."""

import base64
import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.errors import Retryable
from lucid_sessions.recordings import hints, intake, pipeline, reconcile, requeue, scrub
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import STAGES, State
from lucid_sessions.recordings.models import Chunk
from tasks.celery import app
from tasks.pipeline import CeleryPublisher
from tests import factories, servers

pytestmark = pytest.mark.django_db(transaction=True)


def put_back(*options: str) -> int:
    out = StringIO()
    with pytest.raises(SystemExit, match="0"):
        call_command("requeue", "--json", *options, stdout=out)
    return int(json.loads(out.getvalue())["requeued"])


def test_each_filter_chooses_its_own_and_together_they_narrow(world: Installation) -> None:
    first, second = (factories.recorded_session(world, segments=3, name=name) for name in ("a", "b"))
    Chunk.objects.update(quarantined_at=timezone.now(), reason="capture: no video", attempts=8)
    Chunk.objects.filter(session=second).update(state=State.ENCRYPTED, reason="store: the disk is full")
    assert put_back("--stage", "compress") == 0
    assert put_back("--stage", "store", "--session", str(first.pk)) == 0
    assert put_back("--reason", "DISK", "--session", str(second.pk), "--stage", "store") == 3
    assert put_back("--stage", "capture") == 3
    assert put_back() == 0
    assert set(Chunk.objects.values_list("attempts", "reason", "quarantined_at")) == {(0, "", None)}


def test_after_an_outage_the_oldest_come_first_once_and_no_more_than_a_queue_holds(
    world: Installation, settings: pytest.FixtureRequest
) -> None:
    settings.PIPELINE_BUFFER_SIZE = 3
    for number in range(5):
        factories.recorded_session(world, segments=hints.MOST_CHUNKS, name=f"s{number}")
    oldest = [str(pk) for pk in Chunk.objects.order_by("created_at", "pk").values_list("pk", flat=True)]
    before = app.conf.broker_url
    with servers.redis_server() as url, app.connection_for_write(url=url) as connection:
        try:
            app.conf.broker_url = url
            app._after_fork()
            hints.register(CeleryPublisher())
            reconcile.tick()
            reconcile.tick()  # what was announced is not announced again
            queue = connection.default_channel.client
            sent = [_ids(message) for message in reversed(queue.lrange("capture", 0, -1))]
        finally:
            app.conf.broker_url = before
            app._after_fork()
    assert [one for lot in sent for one in lot] == oldest[: len(sent) * hints.MOST_CHUNKS]
    assert len(sent) == 5


def _lost_blob(world: Installation, *, anchored: bool = False) -> Chunk:
    """A chunk in quarantine, since its blob has vanished from the store."""
    factories.recorded_session(world, segments=2)
    pks = list(Chunk.objects.values_list("pk", flat=True))
    pipeline.run([name for name in STAGES if name != "anchor"], pks, world=world)
    if anchored:
        reconcile.work_inline(world)
    chunk = Chunk.objects.order_by("sequence")[0]
    world.blobs.delete(chunk.blob)
    list(scrub.run(world))
    chunk.refresh_from_db()
    assert chunk.quarantined_at is not None
    return chunk


def test_a_chunk_whose_blob_is_lost_begins_again_from_its_segment(world: Installation) -> None:
    chunk = _lost_blob(world)
    assert put_back("--stage", "anchor") == 1
    assert Chunk.objects.get(pk=chunk.pk).state == State.CAPTURED
    reconcile.work_inline(world)
    chunk.refresh_from_db()
    assert (chunk.state, chunk.quarantined_at) == (State.ANCHORED, None)
    assert world.blobs.check(chunk.blob) == chunk.blob_length
    assert intake.release(world.spool) == 2


@pytest.mark.parametrize("content", [None, b"other bytes than were captured"])
def test_a_chunk_that_has_neither_blob_nor_segment_stays_in_quarantine_and_says_so(
    world: Installation, content: bytes | None
) -> None:
    chunk = _lost_blob(world)
    segment = world.spool_root / chunk.path
    segment.unlink()
    if content is not None:
        segment.write_bytes(content)
    assert put_back() == 0
    row = Chunk.objects.get(pk=chunk.pk)
    assert (row.state, row.quarantined_at) == (State.STORED, chunk.quarantined_at)
    assert f"Blob {chunk.blob} is missing" in row.reason
    assert segment.name in row.reason
    reconcile.work_inline(world)
    assert Chunk.objects.get(pk=chunk.pk).state == State.STORED


def test_an_anchored_chunk_whose_blob_is_lost_keeps_its_quarantine_and_its_segment(
    world: Installation,
) -> None:
    chunk = _lost_blob(world, anchored=True)
    assert requeue.put_back([chunk]) == 0
    intake.release(world.spool)
    assert (world.spool_root / chunk.path).read_bytes() == factories.segment_bytes(1)
    assert "restore it from a backup" in Chunk.objects.get(pk=chunk.pk).reason


def test_a_chunk_whose_blob_was_restored_goes_on_where_it_stood(world: Installation) -> None:
    factories.recorded_session(world, segments=1)
    pipeline.run([name for name in STAGES if name != "anchor"], [Chunk.objects.get().pk], world=world)
    Chunk.objects.update(quarantined_at=timezone.now(), reason="scrub: it was away")
    assert put_back() == 1
    assert Chunk.objects.get().state == State.STORED


def test_nothing_is_put_back_unseen_while_the_store_is_away(world: Installation) -> None:
    chunk = _lost_blob(world)
    world.blobs_root.rename(world.blobs_root.with_name("elsewhere"))
    with pytest.raises(Retryable, match="mount that disk"):
        requeue.put_back([chunk])
    assert Chunk.objects.get(pk=chunk.pk).quarantined_at is not None


def _ids(message: bytes) -> list[str]:
    body = json.loads(base64.b64decode(json.loads(message)["body"]))
    return list(body[0][0])
