"""The services of a deployment, started once for all tests that look at them, and stopped after the last."""

import json
from collections.abc import Iterator

import pytest

from tests.deploy.stack import Standing
from tests.deploy.standing import stood


@pytest.fixture(scope="package")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The five services, running and ready."""
    with stood(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="package")
def recorded(standing: Standing) -> dict[str, object]:
    """A short recording that went through them, as `record --wait` tells it."""
    words = ("record", "synthetic://320x240", "--duration", "2", "--wait", "--json")
    return dict(json.loads(standing.manage(*words, service="session-api")))
