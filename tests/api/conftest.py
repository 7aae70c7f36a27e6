"""What all tests of the API stand on: nothing remembered from the test before."""

from collections.abc import Iterator

import pytest

from lucid_sessions.access import audit, authentication


@pytest.fixture(autouse=True)
def nothing_remembered(settings: pytest.FixtureRequest) -> Iterator[None]:
    """Each request asks the database who its token is; each look is an event."""
    settings.LUCID_TOKEN_CACHE_SECONDS = 0.0
    audit.forget_looks()
    yield
    authentication.forget_all()
