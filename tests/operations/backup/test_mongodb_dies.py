"""MongoDB dies under a command that asks it directly: that is said as of any query, and is tried again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, connections

from lucid_sessions.mongodb.completing import complete
from lucid_sessions.operations.backup import engines
from lucid_sessions.operations.backup.point import one_point
from tests.faults.test_mongodb import Server

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.mongodb_only("it kills the mongod that it runs on"),
]


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.start()
    connections.close_all()


def _fails(ask: Callable[[], object]) -> None:
    with pytest.raises(OperationalError, match=r"MongoDB: .*"):
        ask()


def test_what_the_database_is_asked_directly_fails_as_a_query_does(server: Server, tmp_path: Path) -> None:
    engines.dump(tmp_path)
    with one_point():
        server.kill()
        _fails(lambda: engines.dump(tmp_path))
    _fails(lambda: engines.load(tmp_path, aside="before"))
    _fails(lambda: engines.put_aside("before"))
    _fails(complete)
