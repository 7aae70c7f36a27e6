"""A ground for each fault, on real files and the test's database."""

from pathlib import Path

import pytest

from lucid_sessions.recordings.installation import Installation
from tests.faults import ground as grounds
from tests.programs import needed


@pytest.fixture
def ground(world: Installation, tmp_path: Path, request: pytest.FixtureRequest) -> grounds.Ground:
    """A fresh world, named by the test's `fault` mark."""
    mark = request.node.get_closest_marker("fault")
    row, fault = mark.args if mark else (0, "")
    return grounds.Ground(world, tmp_path, row=row, fault=fault)


@pytest.fixture
def strace() -> str:
    """Where strace is; without it nothing here could be shown."""
    return needed("strace")
