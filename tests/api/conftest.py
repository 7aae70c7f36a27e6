"""What all tests of the API stand on: nothing remembered from the test before."""

from collections.abc import Iterator
from typing import Any

import pytest

from lucid_sessions.access import audit, authentication
from lucid_sessions.recordings.installation import Installation

from .people import client_of, person


@pytest.fixture(autouse=True)
def nothing_remembered(settings: pytest.FixtureRequest) -> Iterator[None]:
    """Each request asks the database who its token is; each look is an event."""
    settings.LUCID_TOKEN_CACHE_SECONDS = 0.0
    audit.forget_looks()
    yield
    authentication.forget_all()


@pytest.fixture
def auditor(world: Installation, settings: Any, tmp_path: Any) -> Any:
    """An auditor's client, where what jobs make lies in a directory of this test's own."""
    settings.LUCID_RESULTS_PATH = tmp_path / "results"
    return client_of(person("auditor"))
