"""A write is whole or not there, whatever happens in the middle of it."""

import os
import stat
from pathlib import Path

import pytest

from lucid_sessions.durable import (
    TEMPORARY_SUFFIX,
    create_durably,
    make_directory,
    remove_stray,
    sync_directory,
    write_durably,
)
from lucid_sessions.errors import Retryable
from tests.blobs.deaths import die_at_step


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_written_file_holds_the_bytes_and_makes_its_private_directories(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c"
    write_durably(path, memoryview(bytearray(b"first")))
    write_durably(path, b"second")
    assert path.read_bytes() == b"second"
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent, path.parent.parent)] == [
        0o600,
        0o700,
        0o700,
    ]
    assert _names(path.parent) == ["c"]


def test_a_name_that_is_written_once_keeps_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "once"
    assert create_durably(path, b"first") is True
    assert create_durably(path, b"second") is False
    assert path.read_bytes() == b"first"
    assert _names(path.parent) == ["once"]


def test_a_write_that_dies_at_any_step_leaves_the_old_bytes_or_the_new(tmp_path: Path) -> None:
    step, seen = 1, set()
    while True:
        path = tmp_path / str(step) / "shard" / "file"
        write_durably(path, b"old")
        died = die_at_step(step, lambda p=path: write_durably(p, b"new" * 9999), below=tmp_path)
        seen.add(path.read_bytes()[:3])
        write_durably(path, b"again")
        assert path.read_bytes() == b"again"
        if not died:
            break
        step += 1
    assert step > 3
    assert seen == {b"old", b"new"}


@pytest.mark.parametrize("of_many", [False, True])
def test_a_creation_that_dies_at_any_step_can_be_repeated(tmp_path: Path, of_many: bool) -> None:
    def create(path: Path) -> bool:
        return create_durably(path, b"whole" * 9, of_many=of_many)

    step, seen = 1, set()
    while die_at_step(step, lambda s=step: create(tmp_path / str(s) / "x" / "file"), below=tmp_path):
        path = tmp_path / str(step) / "x" / "file"
        seen.add(path.exists())
        assert not path.exists() or path.read_bytes() == b"whole" * 9
        create(path)
        assert path.read_bytes() == b"whole" * 9
        remove_stray(path.parent, older_than_seconds=0)
        assert _names(path.parent) == ["file"]
        step += 1
    assert step > 5
    assert seen == {False, True}


def test_a_failed_check_leaves_neither_the_name_nor_the_temporary_file(tmp_path: Path) -> None:
    def refuse(descriptor: int) -> None:
        assert os.pread(descriptor, 9, 0) == b"bytes"
        raise Retryable("no")

    with pytest.raises(Retryable, match="no"):
        write_durably(tmp_path / "file", b"bytes", check=refuse)
    assert _names(tmp_path) == []


def test_a_directory_that_cannot_be_made_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        Retryable, match=r"Could not write .*/file/x/y: Not a directory\. A file stands where"
    ):
        write_durably(tmp_path / "file" / "x" / "y", b"")
    with pytest.raises(Retryable, match=r"Could not make the directory .*/file/x"):
        make_directory(tmp_path / "file" / "x")
    with pytest.raises(Retryable, match=r"Could not sync .*/gone: No such file or directory\. Mount"):
        sync_directory(tmp_path / "gone")


def test_writing_over_a_directory_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(Retryable, match="taken"):
        write_durably(tmp_path / "taken", b"")
    assert _names(tmp_path) == ["taken"]


def test_only_old_temporary_files_are_swept_away(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    old, young, other = (
        tmp_path / "a" / "b" / name for name in ("x" + TEMPORARY_SUFFIX, "y" + TEMPORARY_SUFFIX, "z")
    )
    for path in (old, young, other):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    assert remove_stray(tmp_path, older_than_seconds=3600) == 1
    assert sorted(p.name for p in old.parent.iterdir()) == [young.name, other.name]
