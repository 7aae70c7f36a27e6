"""Quarantined chunks are put back as they are chosen: by stage, by reason, by session."""

import base64
import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.recordings import hints, reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State
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


def _ids(message: bytes) -> list[str]:
    body = json.loads(base64.b64decode(json.loads(message)["body"]))
    return list(body[0][0])
