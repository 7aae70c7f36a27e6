"""A broker that hangs: nobody waits for it to take chunks' hints, and the reconciler makes up for them."""

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lucid_sessions.recordings import hints, intake, reconcile, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Chunk, Session
from tasks.pipeline import CeleryPublisher, _ids_in
from tests import factories
from tests.faults.load import Redis
from tests.waiting import is_over_within

from .people import client_of, person
from .test_jobs_with_a_frozen_broker import broker as broker
from .test_jobs_with_a_frozen_broker import frozen

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def announced(world: Installation, broker: Redis) -> Iterator[None]:
    """Chunks are announced, as when the application's module is loaded."""
    hints.register(CeleryPublisher())
    yield
    hints.register(None)


def anew(act: Callable[[], float]) -> Callable[[], float]:
    """The same, done by one who does not know yet that the broker hangs."""

    def done() -> float:
        hints.register(CeleryPublisher())
        return act()

    return done


def seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def waiting(broker: Redis) -> set[Any]:
    """The chunks that messages speak of."""
    return {pk for message in broker.client.lrange("capture", 0, -1) for pk in _ids_in(message)}


def test_a_host_files_beside_a_frozen_broker_and_what_it_could_not_tell_is_told_later(
    world: Installation, broker: Redis
) -> None:
    files = intake.Intake(world.spool)
    session = sessions.create("synthetic://64x48", name="a session")
    factories.take(session, world)
    counters = itertools.count(1)

    def filed() -> float:
        """Seconds that filing one more segment takes."""
        factories.acknowledge(session, world, counter=next(counters))
        return seconds(files.scan)

    without = filed()
    assert len(waiting(broker)) == 1
    with frozen(broker):
        assert is_over_within(without + 1, anew(filed))
        assert is_over_within(without + 0.3, filed)  # it is left in peace
        # Nor does it wait to know which messages died with a worker.
        assert is_over_within(1, anew(lambda: seconds(lambda: hints.in_vain(Chunk.objects.all()))))
    untold = Chunk.objects.filter(hinted_at__isnull=True).count()
    assert untold == Chunk.objects.count() - 1 >= 2
    hints.register(CeleryPublisher())  # by now it is asked again
    assert reconcile.tick() == untold
    filed()
    assert waiting(broker) == set(Chunk.objects.values_list("pk", flat=True))
    assert not Chunk.objects.filter(hinted_at__isnull=True).exists()
    assert hints.in_vain(Chunk.objects.all()) == []


def test_a_broker_that_was_started_anew_loses_no_hint(world: Installation, broker: Redis) -> None:
    session = sessions.create("synthetic://64x48", name="a session")
    factories.take(session, world)
    files = intake.Intake(world.spool)
    for counter in range(1, 4):
        factories.acknowledge(session, world, counter=counter)
        files.scan()
        assert not Chunk.objects.filter(hinted_at__isnull=True).exists()
        broker.end(signal.SIGKILL)
        broker.start()


def test_who_lets_chunks_go_on_waits_for_no_frozen_broker(world: Installation, broker: Redis) -> None:
    session = factories.recorded_session(world, segments=300)
    client = client_of(person("admin"))

    def resumed() -> None:
        assert client.post(f"/api/v1/sessions/{session.pk}/pipeline/resume").status_code == 200

    broker.client.flushall()
    without = seconds(resumed)
    # Beside a healthy one all are told, by whichever number of messages.
    assert waiting(broker) == set(Chunk.objects.values_list("pk", flat=True))
    assert Session.objects.filter(processing_paused=True).count() == 0
    with frozen(broker):
        assert is_over_within(without + 1, anew(lambda: seconds(resumed)))
        assert is_over_within(without + 0.5, lambda: seconds(resumed))
