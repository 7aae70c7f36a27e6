"""Writes that survive a power cut once they have returned.

One way to do it, in one place: a temporary name in the same directory, write, fsync, rename (or link,
for a name that is written once), fsync of the directory. Only that order survived a file system that
loses unsynced writes. Every OSError becomes a Retryable that names the path, the reason and the fix.

A failed fsync is not tried again on the same descriptor: the kernel reports the loss once and then calls
the pages clean. The temporary file goes, and the caller's retry writes the bytes anew.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lucid_sessions.errors import Retryable

Bytes = bytes | bytearray | memoryview

TEMPORARY_SUFFIX = ".lucid-tmp"

_FIXES = {
    errno.ENOSPC: "Free space on that disk.",
    errno.EDQUOT: "Free space, or raise the quota.",
    errno.EFBIG: "Raise the limit on file sizes (ulimit -f).",
    errno.EROFS: "Mount that file system for writing.",
    errno.EACCES: "Give the service's user permission there.",
    errno.EPERM: "Give the service's user permission there.",
    errno.EIO: "Check that disk: it failed to read or write.",
    errno.ENOTDIR: "A file stands where a directory is needed: correct the setting, or move the file away.",
    errno.ENOENT: "Mount that directory, or correct the setting.",
    errno.ESTALE: "Mount that network file system again.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENFILE: "Raise the machine's limit on open files.",
}

# Directories whose own names are known to have reached the disk. A process that died between mkdir and
# fsync leaves a directory that is there but may vanish, so what we find is synced once as well.
_settled: set[Path] = set()


def write_durably(path: Path, data: Bytes, *, check: Callable[[int], None] | None = None) -> None:
    """The file holds exactly these bytes, and still does after a power cut; an older one is replaced.

    `check` gets the descriptor of the synced file before it takes its name; what it raises undoes the write.
    """
    with blaming("write", path):
        _place(path.absolute(), data, by=_rename, check=check, settle=_settle)


def create_durably(path: Path, data: Bytes, *, of_many: bool = False) -> bool:
    """True if the file is new and holds these bytes; False if the name was taken (that file is untouched).

    `of_many`: its directory may be new, and there are many like it, so it is not remembered itself.
    """
    with blaming("write", path):
        try:
            _place(path.absolute(), data, by=_link, check=None, settle=_settle_new if of_many else _settle)
        except FileExistsError:
            sync_name(path)
            return False
        return True


def sync_name(path: Path) -> None:
    """The name of this existing file or directory, and those of its parents, survive a power cut."""
    with blaming("sync", path):
        directory = path.absolute().parent
        _sync(directory)
        _settle(directory)


def sync_directory(directory: Path) -> None:
    """The names in this directory, and their absence, survive a power cut."""
    with blaming("sync", directory):
        _sync(directory)


def make_directory(directory: Path) -> None:
    """The directory exists (new ones get mode 0700), and still does after a power cut."""
    with blaming("make the directory", directory):
        _mkdir(directory.absolute())
        _settle(directory.absolute())


def remove_stray(root: Path, *, older_than_seconds: float) -> int:
    """How many temporary files of crashed writers were removed below root; younger ones may be in use."""
    limit = time.time() - older_than_seconds
    with blaming("clean up", root):
        return sum(
            _remove_older(Path(folder, name), limit)
            for folder, _, names in os.walk(root)
            for name in names
            if name.endswith(TEMPORARY_SUFFIX)
        )


@contextlib.contextmanager
def blaming(action: str, path: Path) -> Iterator[None]:
    """Turns an OSError into a Retryable that says what failed, where, why, and what to do."""
    try:
        yield
    except OSError as error:
        fix = _FIXES.get(error.errno or 0, "Check that disk.")
        raise Retryable(f"Could not {action} {path}: {error.strerror or error}. {fix}") from error


def _place(
    path: Path,
    data: Bytes,
    *,
    by: Callable[[Path, Path], None],
    check: Callable[[int], None] | None,
    settle: Callable[[Path], None],
) -> None:
    directory = path.parent
    temporary = directory / f".{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
    try:
        _write_synced(temporary, data, check=check)
        by(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync(directory)
    settle(directory)  # last: the sync above has just committed the journal, so this is cheap


def _rename(temporary: Path, path: Path) -> None:
    os.rename(temporary, path)  # noqa: PTH104  Path.rename builds a Path that nobody wants


def _link(temporary: Path, path: Path) -> None:
    path.hardlink_to(temporary)
    temporary.unlink()


def _write_synced(temporary: Path, data: Bytes, *, check: Callable[[int], None] | None) -> None:
    descriptor = _create(temporary)
    try:
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
        if check:
            check(descriptor)
    finally:
        os.close(descriptor)


def _create(temporary: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(temporary, flags, 0o600)
    except FileNotFoundError:
        _mkdir(temporary.parent)
        return os.open(temporary, flags, 0o600)


def _mkdir(directory: Path) -> None:
    """One level at a time: Path.mkdir would give the parents another mode."""
    if not directory.parent.is_dir():
        _mkdir(directory.parent)
    directory.mkdir(0o700, exist_ok=True)


def _settle(directory: Path) -> None:
    """Sync the names of this directory and its parents up to the mount point, once in a process's life."""
    chain: list[Path] = []
    while directory not in _settled and not directory.is_mount():
        try:
            _sync(directory.parent)
        except PermissionError:
            break  # a parent that we may not even list was not made by us
        chain.append(directory)
        directory = directory.parent
    _settled.update(chain)


def _settle_new(directory: Path) -> None:
    _sync(directory.parent)
    _settle(directory.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_older(path: Path, limit: float) -> int:
    try:
        if path.lstat().st_mtime > limit:
            return 0
        path.unlink()
    except FileNotFoundError:
        return 0  # its writer finished, or another cleaner was faster
    return 1
