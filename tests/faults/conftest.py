"""A ground for each fault, on real files and the test's database; mutants, when the harness tests itself."""

import os
from pathlib import Path

import pytest

from lucid_sessions.recordings.installation import Installation
from tests.faults import ground as grounds
from tests.faults import mutants
from tests.programs import needed


def pytest_configure() -> None:
    if mutant := os.environ.get("LUCID_FAULTS_MUTANT"):
        mutants.MUTANTS[mutant]()


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
