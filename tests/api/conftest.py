"""What all tests of the API stand on: nothing remembered from the test before."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lucid_sessions.access import audit, authentication
from lucid_sessions.recordings import account
from lucid_sessions.recordings.installation import Installation
from tests.waiting import PATIENCE

from .people import client_of, person


@pytest.fixture(autouse=True)
def nothing_remembered(settings: pytest.FixtureRequest) -> Iterator[None]:
    """Each request asks the database who its token is; each look is an event."""
    settings.LUCID_TOKEN_CACHE_SECONDS = 0.0
    audit.forget_looks()
    yield
    authentication.forget_all()


@pytest.fixture(autouse=True)
def one_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes, an account of what was done does not end before its part does."""
    monkeypatch.setattr(account, "MOST_SECONDS", PATIENCE)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that has the clock go on by which looks are news; otherwise it stands."""
    clock = SimpleNamespace(now=time.monotonic())
    stands = SimpleNamespace(monotonic=lambda: clock.now, time_ns=time.time_ns)
    monkeypatch.setattr(audit, "time", stands)

    def pass_(seconds: float) -> None:
        clock.now += seconds

    return pass_


@pytest.fixture
def auditor(world: Installation, settings: Any, tmp_path: Any) -> Any:
    """An auditor's client, where what jobs make lies in a directory of this test's own."""
    settings.LUCID_RESULTS_PATH = tmp_path / "results"
    return client_of(person("auditor"))
