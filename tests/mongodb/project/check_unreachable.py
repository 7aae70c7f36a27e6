"""A server that is not there is an OperationalError with the reason, as on every other database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError, connections

from lucid_sessions.mongodb.base import DatabaseWrapper
from lucid_sessions.mongodb.settings import database
from tests.mongodb.project.shelf.models import Tape
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def nowhere() -> Iterator[str]:
    url = f"mongodb://127.0.0.1:{free_port()}/absent?serverSelectionTimeoutMS=100"
    connections.databases["nowhere"] = {**connections.databases["default"], **database(url)}
    yield "nowhere"
    wrapper = connections["nowhere"]
    assert isinstance(wrapper, DatabaseWrapper)
    wrapper.close_pool()
    del connections["nowhere"]
    del connections.databases["nowhere"]


def _failure(ask: Callable[[], object]) -> str:
    with pytest.raises(OperationalError) as failure:
        ask()
    return str(failure.value)


def test_every_operation_says_that_the_server_cannot_be_reached(nowhere: str) -> None:
    tapes = Tape.objects.using(nowhere)
    # Until the driver was refused once it can only say that it has found no server yet.
    until(lambda: "refused" in _failure(tapes.first))
    with pytest.raises(OperationalError, match=r"MongoDB: .*refused"):
        tapes.first()
    with pytest.raises(OperationalError, match=r"MongoDB: .*refused"):
        tapes.create(title="x")
    with pytest.raises(OperationalError, match=r"MongoDB: .*refused"):
        tapes.filter(title="x").update(title="y")
    with pytest.raises(OperationalError, match=r"MongoDB: .*refused"):
        tapes.count()
