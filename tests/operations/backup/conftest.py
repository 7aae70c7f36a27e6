"""One installation with two sessions, made once; each test works on a copy of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.backup.site import Site, build


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The installation that the copies are made of; nobody changes it."""
    return build(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture
def site(original: Site, tmp_path: Path) -> Iterator[Site]:
    """An installation with two sealed sessions, this test's to damage."""
    copied = original.twin(tmp_path / "home")
    yield copied
    copied.remove_database()
