"""Of three mongods the primary steps down, or is killed, under load: another takes over, and nothing is lost.

Needs a set of three, so it is not among the tests that any database runs; tests/mongodb runs it in CI:
`python -m tests.servers mongod-set -- python -m pytest tests/faults/check_failover.py`.
"""

import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import OperationalError, connections

from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session, SessionKey
from tests.faults.ground import Ground, trials
from tests.faults.load import finish, running
from tests.faults.test_mongodb import THREADS, Server
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def _primary(members: list[Server]) -> Server:
    """Whoever it is now: where time-outs are so short, a busy machine has another elected at any moment."""
    return until(lambda: next((one for one in members if one.is_primary()), None), "there is a primary")


@pytest.mark.fault(5, "the primary of three mongods steps down for another, or is killed, under load")
@pytest.mark.timeout(3600)
def test_what_was_acknowledged_survives_the_loss_of_the_primary(ground: Ground) -> None:
    members = [Server(int(port)) for port in re.findall(r":(\d+)", settings.MONGODB_URL)]
    assert len(members) == 3
    with running(ground, *THREADS) as engine:
        for number in range(2 * trials(20, 1)):
            lost = _primary(members)
            fed = [engine.feed(), engine.feed()]
            time.sleep(ground.rng.uniform(0, 0.3))
            if number % 2 == 0:
                # Longer than an election takes, or it may be the old one that is elected.
                lost.step_down(seconds=15)
            else:
                lost.kill()
            until(lambda lost=lost: any(one.is_primary() for one in members if one is not lost))  # type: ignore[misc]
            connections.close_all()
            for session in fed:
                ground.strike(session)
            ground.trials -= 1  # two sessions, one trial
            # Without the killed one the other two are a majority and go on.
            fed.append(engine.feed())
            if number % 2:
                lost.begin()
            ground.note_recoveries()
        finish(engine)


def test_sessions_whose_start_was_acknowledged_are_there_with_keys_and_event(world: Installation) -> None:
    assert world.keys
    members = [Server(int(port)) for port in re.findall(r":(\d+)", settings.MONGODB_URL)]
    over, acknowledged, refused = threading.Event(), list[UUID](), list[Exception]()

    def create() -> None:
        while not over.is_set():
            made = uuid4()
            event = AuditEvent(action="session.created", session=str(made), at_us=1)
            try:
                sessions.start(sessions.create("synthetic://", name="n", id=made, beside=[event]))
            except OperationalError as error:
                refused.append(error)
            else:
                acknowledged.append(made)
        connections.close_all()

    with ThreadPoolExecutor(8) as askers:
        asking = [askers.submit(create) for _ in range(8)]
        try:
            for lose in (Server.step_down, Server.kill):
                more = len(acknowledged) + 40
                until(lambda more=more: len(acknowledged) > more, "sessions are created")  # type: ignore[misc]
                lost = _primary(members)
                lose(lost)
            more = len(acknowledged) + 40
            until(lambda: len(acknowledged) > more, "sessions are created again")
        finally:
            over.set()
        for one in asking:
            one.result()
    lost.begin()
    print(f"{len(acknowledged)} acknowledged, {len(refused)} refused, {Session.objects.count()} there")
    tracks = Counter(SessionKey.objects.values_list("session", flat=True))
    rows = dict(Session.objects.values_list("pk", "status"))
    started = {pk for pk, status in rows.items() if status == Status.STARTING}
    assert set(acknowledged) <= started
    assert {tracks[pk] for pk in started} == {2}
    assert Counter(AuditEvent.objects.values_list("session", flat=True)) == dict.fromkeys(map(str, rows), 1)
