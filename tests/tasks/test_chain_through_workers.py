"""The real chain: Celery signatures on five real queues of a real Redis, with real worker processes."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lucid_sessions.recordings import hints, reconcile, sealing, setbacks, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import QUEUES, STAGES, State, Status
from lucid_sessions.recordings.models import Chunk, Session
from lucid_sessions.recordings.presence import NAME_DIGITS
from tasks.celery import app
from tasks.pipeline import CeleryPublisher
from tests import factories, servers
from tests.tasks.patience import patient_with_brokers
from tests.tasks.workers import environment, workers
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

ALL = ",".join(QUEUES)
SAME = ("track", "sequence", "state", "raw_sha256", "frames", "codec", "packed_sha256", "blob_length")


@pytest.fixture
def redis_url() -> Iterator[str]:
    with servers.redis_server() as url:
        before = app.conf.broker_url
        _use_broker(url)
        with patient_with_brokers():
            yield url
        _use_broker(before)


def _use_broker(url: str) -> None:
    app.conf.broker_url = url
    app._after_fork()  # forgets the connections to the broker before


def test_a_worker_for_each_queue_gives_what_one_fused_worker_gives(
    world: Installation, redis_url: str, tmp_path: Path
) -> None:
    apart = _through(world, redis_url, tmp_path / "apart", queues=[*STAGES], fuse="none")
    fused = _through(world, redis_url, tmp_path / "fused", queues=[ALL], fuse="compress,encrypt,store")
    assert _facts(apart) == _facts(fused)
    sealing.seal(world)
    for session in (apart, fused):
        report = verification.verify(session, deep=True)
        assert (report.findings, report.complete, report.checked) == ([], True, 3)
    for stage in STAGES:
        # Apart, each worker got its own stage's message and no other; fused, one message did it all.
        assert _received(tmp_path / "apart" / f"{stage}.log") == {stage}
    assert _received(tmp_path / "fused" / f"{ALL.replace(',', '-')}.log") == {"capture", "anchor"}


def test_of_what_was_told_only_that_is_told_again_which_lies_in_no_queue(
    world: Installation, redis_url: str
) -> None:
    factories.recorded_session(world)
    hints.register(CeleryPublisher())
    chunks = list(Chunk.objects.order_by("sequence"))
    assert [hints.hint([chunk]) for chunk in chunks] == [1, 1, 1]
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        # Taken by a worker that dies with it; the others lie between what is no message of ours.
        client.rpop("capture")
        for poison in (b"no json", b"[]", b'{"body": 7}', b'{"body": "e30="}'):
            client.rpush("capture", poison)
    assert hints.in_vain(chunks) == [chunks[0].pk]
    _use_broker("redis://127.0.0.1:1/0")
    assert hints.in_vain(chunks) == []
    hints.register(CeleryPublisher())  # it would be left in peace for a while
    _use_broker(redis_url)

    world.presence.root.mkdir()
    (world.presence.root / ("a" * NAME_DIGITS)).touch()
    assert setbacks.let_go_of_the_dead(world.presence) == 0
    assert [one.pk for one in reconcile.due()] == [chunks[0].pk]


def test_wiping_redis_loses_nothing(world: Installation, redis_url: str, tmp_path: Path) -> None:
    session = factories.recorded_session(world)
    hints.register(CeleryPublisher())
    assert hints.hint(Chunk.objects.all()) == 3
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushall()
    Chunk.objects.update(hinted_at=None)
    env = environment(world, redis_url)
    with workers(ALL, env=env, logs=tmp_path):
        assert reconcile.tick() == 3
        until(lambda: _anchored(session) == 3)


def test_messages_carry_ids_and_neither_bytes_nor_keys(world: Installation, redis_url: str) -> None:
    factories.recorded_session(world)
    hints.register(CeleryPublisher())
    hints.hint(Chunk.objects.all())
    with app.connection_for_write() as connection:
        (message,) = connection.default_channel.client.lrange("capture", 0, -1)
    assert len(message) < 8192
    for chunk in Chunk.objects.all():
        assert str(chunk.pk).encode() in _decoded(message)


def _decoded(message: bytes) -> bytes:
    return base64.b64decode(json.loads(message)["body"])


def _received(log: Path) -> set[str]:
    """The stages whose messages a worker's log tells of."""
    return set(re.findall(r"Task pipeline\.(\w+)\[", log.read_text()))


def _through(world: Installation, redis_url: str, logs: Path, *, queues: list[str], fuse: str) -> Session:
    """A recorded session after workers on `queues` have brought it to its seal."""
    logs.mkdir()
    session = factories.recorded_session(world, name=f"fuse {fuse}")
    hints.register(CeleryPublisher())
    # Before the workers are there: one that starts looks for work by itself.
    assert hints.hint(session.chunks.all()) == 3
    with workers(*queues, env=environment(world, redis_url, LUCID_FUSE=fuse), logs=logs):
        until(lambda: _anchored(session) == 3)
        until(lambda: Session.objects.get(pk=session.pk).status == Status.COMPLETED)
    return session


def _anchored(session: Session) -> int:
    return Chunk.objects.filter(session=session, state=State.ANCHORED).count()


def _facts(session: Session) -> list[tuple[object, ...]]:
    return list(Chunk.objects.filter(session=session).order_by("sequence").values_list(*SAME))
