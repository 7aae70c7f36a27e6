"""Two carry the same blob at once, and one of them may die: there is always one that is whole."""

from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

from lucid_sessions.blobs import FileBlobs, blob_name, carry
from lucid_sessions.durable import Bytes

DATA = b"sealed" * 1000
NAME = blob_name(DATA)
# More than a mover asks of a store for one blob.
CALLS = range(1, 7)


class _Killed(BaseException):
    pass


class _Target(FileBlobs):
    """The store to which a blob goes, as one mover sees it: before each call something may happen."""

    def __init__(self, root: Path, *, before: Callable[[int], None]) -> None:
        super().__init__(root)
        self._before, self._calls = before, 0

    def _call(self) -> None:
        self._calls += 1
        self._before(self._calls)

    def check(self, name: str) -> int:
        self._call()
        return super().check(name)

    def put(self, data: Bytes, *, name: str) -> None:
        self._call()
        super().put(data, name=name)

    def replace(self, data: Bytes, *, name: str) -> None:
        self._call()
        super().replace(data, name=name)

    def delete(self, name: str) -> None:
        self._call()
        super().delete(name)


@pytest.fixture
def source(tmp_path: Path) -> FileBlobs:
    blobs = FileBlobs.create(tmp_path / "source")
    blobs.put(DATA, name=NAME)
    return blobs


def _target(root: Path, found: bytes | None) -> FileBlobs:
    """A store in which this lies under the blob's name."""
    target = FileBlobs.create(root)
    if found is not None:
        target.put(DATA, name=NAME)
        target._path(NAME).write_bytes(found)
    return target


@pytest.mark.parametrize("found", [None, b"rotten", b""])
def test_a_blob_arrives_whole_whatever_lay_there(
    source: FileBlobs, tmp_path: Path, found: bytes | None
) -> None:
    target = _target(tmp_path / "target", found)
    assert carry(NAME, source=source, target=target) == (len(DATA), True)
    assert target.get(NAME) == DATA
    assert carry(NAME, source=source, target=target) == (len(DATA), False)


@pytest.mark.parametrize("found", [None, b"rotten"])
def test_of_two_movers_one_that_dies_takes_nothing_from_the_other(
    tmp_path: Path, found: bytes | None
) -> None:
    for number, (other_comes, dies) in enumerate(product(CALLS, CALLS)):
        source = FileBlobs.create(tmp_path / f"source {number}")
        source.put(DATA, name=NAME)
        target = _target(tmp_path / f"target {number}", found)

        def before(
            call: int,
            *,
            source: FileBlobs = source,
            target: FileBlobs = target,
            other_comes: int = other_comes,
            dies: int = dies,
        ) -> None:
            if call == other_comes:
                carry(NAME, source=source, target=target)
                source.delete(NAME)
            if call == dies:
                raise _Killed

        with suppress(_Killed):
            carry(NAME, source=source, target=_Target(target.root, before=before))
        assert DATA in [store.get(NAME) for store in (source, target) if store.exists(NAME)]


class _Overtaken(FileBlobs):
    """A store to which another mover carries a blob as soon as it was not found there."""

    def __init__(self, root: Path, *, source: FileBlobs) -> None:
        super().__init__(root)
        self._source = source

    def check(self, name: str) -> int:
        try:
            return super().check(name)
        finally:
            if self._source.exists(name):
                carry(name, source=self._source, target=FileBlobs(self.root))
                self._source.delete(name)


def test_what_another_mover_has_just_carried_is_not_called_missing(source: FileBlobs, tmp_path: Path) -> None:
    FileBlobs.create(tmp_path / "target")
    target = _Overtaken(tmp_path / "target", source=source)
    assert carry(NAME, source=source, target=target) == (len(DATA), False)
