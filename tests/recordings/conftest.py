"""What all tests of recordings stand on."""

import pytest

from lucid_sessions.recordings import quota, setbacks
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
def summing_up_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive's totals are taken at each tick, also after one that took long on a busy machine."""
    monkeypatch.setattr(quota, "CHEAP_SECONDS", PATIENCE)


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has failed waits longer than a test lasts, from the first time on."""
    monkeypatch.setattr(setbacks, "FIRST_WAIT", PATIENCE)
    monkeypatch.setattr(setbacks, "LONGEST_WAIT", PATIENCE)
