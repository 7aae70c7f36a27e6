"""Of three mongods the primary steps down, or is killed, under load: another takes over, and nothing is lost.

Needs a set of three, so it is not among the tests that any database runs; tests/mongodb runs it in CI:
`python -m tests.servers mongod-set -- python -m pytest tests/faults/check_failover.py`.
"""

import re
import time

import pytest
from django.conf import settings
from django.db import connections

from tests.faults.ground import Ground, trials
from tests.faults.load import finish, running
from tests.faults.test_mongodb import THREADS, Server
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.fault(5, "the primary of three mongods steps down for another, or is killed, under load")
@pytest.mark.timeout(3600)
def test_what_was_acknowledged_survives_the_loss_of_the_primary(ground: Ground) -> None:
    members = [Server(int(port)) for port in re.findall(r":(\d+)", settings.MONGODB_URL)]
    assert len(members) == 3
    with running(ground, *THREADS) as engine:
        for number in range(2 * trials(20, 1)):
            (lost,) = [one for one in members if one.is_primary()]
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
