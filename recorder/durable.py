"""Writing so that it is still there after the power fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Directories whose names are known to be on the disk. One that we find may have been left unsynced by a
# process that died between making and syncing it, so what we find is synced once too.
_settled: set[Path] = set()


def make_directory(directory: Path) -> None:
    """Create a directory and its missing parents, private to this user, durably."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    while directory not in _settled and not directory.is_mount():
        try:
            sync_directory(directory.parent)
        except PermissionError:
            break  # a parent that we may not even list was not made by us
        _settled.add(directory)
        directory = directory.parent


def rename(source: Path, target: Path) -> None:
    """Give a fully written and synced file its final name, durably."""
    source.rename(target)
    sync_directory(target.parent)


def write(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all, durably."""
    _write(path, content, place=rename)


def create(path: Path, content: bytes) -> None:
    """Write a small file durably, unless it is there already: of two writers the first wins."""
    _write(path, content, place=_link)


def _write(path: Path, content: bytes, *, place: Callable[[Path, Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        place(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _link(source: Path, target: Path) -> None:
    with contextlib.suppress(FileExistsError):
        target.hardlink_to(source)
    source.unlink()
    sync_directory(target.parent)
