"""Many blobs from one directory to another, each under its SHA-256, and every one of them read back.

The files get their names without a sync each: one syncfs covers a thousand, and only then are they read
back, from the disk and not from the cache. What a crash leaves under a name is hashed by the next run and
made anew if it is wrong; a manifest, or a database, that relies on the blobs is written only afterwards.
"""

import ctypes
import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path

from lucid_sessions.blobs import FileBlobs
from lucid_sessions.durable import TEMPORARY_SUFFIX, blaming
from lucid_sessions.errors import Retryable
from lucid_sessions.recordings import failpoints

BATCH = 1000
THREADS = min(8, 2 * len(os.sched_getaffinity(0)))
_LINK_FAILS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Moved:
    """What is there now, by name with its length; how much of it was written; and what was not to be had."""

    lengths: dict[str, int] = field(default_factory=dict)
    written: int = 0
    written_bytes: int = 0
    bad: dict[str, str] = field(default_factory=dict)


class Way(StrEnum):
    """How blobs move: `link` shares the file where both are on one file system, `copy` never does.

    Both are read back from the disk. `back` is a copy that the cache may answer for: the backup is still
    there, every blob is hashed all the same, and verifying reads them again.
    """

    LINK = "link"
    COPY = "copy"
    BACK = "back"


@dataclass(frozen=True)
class Bulk:
    """Copies blobs from `source` to `target`."""

    source: FileBlobs
    target: FileBlobs
    way: Way = Way.COPY

    def move(self, names: Iterable[str], *, tell: Callable[[int], None] = lambda _: None) -> Moved:
        """All of these blobs are in the target, durably, read back; those that could not be are in `bad`."""
        moved = Moved()
        with ThreadPoolExecutor(THREADS) as pool:
            for batch in batches(names):
                fresh = {name for name in pool.map(self._place, batch) if name}
                failpoints.reach("bulk.placed")
                self._sync(fresh)
                checked = dict(zip(batch, pool.map(self._check, batch), strict=True))
                # An earlier run died over these, or their disk decayed: once more, from the source.
                worn = {name for name, found in checked.items() if found is None and name not in fresh}
                worn = {name for name in pool.map(self._place, worn) if name}
                self._sync(worn)
                checked |= {name: self._check(name) for name in worn}
                self._note(moved, checked, fresh=fresh | worn)
                failpoints.reach("bulk.batch")
                tell(len(batch))
        return moved

    def _sync(self, written: set[str]) -> None:
        if written:
            sync_file_system(self.target.root)

    def _note(self, moved: Moved, checked: dict[str, int | None], *, fresh: set[str]) -> None:
        for name, length in checked.items():
            if length is None:
                moved.bad[name] = self._blame(name)
                continue
            moved.lengths[name] = length
            moved.written += name in fresh
            moved.written_bytes += length if name in fresh else 0

    def _blame(self, name: str) -> str:
        try:
            found, _ = digest_of(path_of(self.source.root, name))
        except FileNotFoundError:
            return f"blob {name} is missing from {self.source.root}"
        if found == name:
            raise Retryable(f"Blob {name} read back from {self.target.root} as other bytes. Check that disk")
        return f"blob {name} in {self.source.root} holds other bytes than its name says"

    def _place(self, name: str) -> str | None:
        """The name, if a file was made; None if one is there already, or there is none to be had."""
        path, origin = path_of(self.target.root, name), path_of(self.source.root, name)
        if path.exists():
            return None
        with blaming("write", path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
            try:
                if not (self.way == Way.LINK and _linked(origin, temporary)):
                    _copy(origin, temporary)
                temporary.replace(path)
            except FileNotFoundError:
                return None  # not in the source: the check says so
            finally:
                temporary.unlink(missing_ok=True)
        return name

    def _check(self, name: str) -> int | None:
        """The blob's length, read anew; None if it is missing or wrong. A wrong file does not stay."""
        path = path_of(self.target.root, name)
        try:
            found, length = digest_of(path, from_disk=self.way != Way.BACK)
        except FileNotFoundError:
            return None
        if found != name:
            path.unlink()
            return None
        return length


def path_of(root: Path, name: str) -> Path:
    """Where a directory of blobs keeps this one."""
    return Path(f"{root}/{name[:2]}/{name[2:4]}/{name}")


def digest_of(path: Path, *, from_disk: bool = False) -> tuple[str, int]:
    """The file's SHA-256 in hexadecimal and its length; FileNotFoundError; Retryable when the disk fails."""
    digest, length = hashlib.sha256(), 0
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        raise
    except OSError:
        with blaming("read", path):
            raise
    with file, blaming("read", path):
        if from_disk:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(1 << 20):
            digest.update(block)
            length += len(block)
    return digest.hexdigest(), length


def check_all(root: Path, names: Iterable[str]) -> Iterator[tuple[str, int | None]]:
    """Each name with the length of its file, or None when that is missing or holds other bytes."""

    def check(name: str) -> tuple[str, int | None]:
        try:
            found, length = digest_of(path_of(root, name), from_disk=True)
        except FileNotFoundError:
            return name, None
        return name, length if found == name else None

    with ThreadPoolExecutor(THREADS) as pool:
        for batch in batches(names):
            yield from pool.map(check, batch)


def sync_file_system(directory: Path) -> None:
    """Everything written to this directory's file system survives a power cut."""
    with blaming("sync", directory):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _libc.syncfs(descriptor):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(descriptor)


def _linked(origin: Path, temporary: Path) -> bool:
    """True if the temporary name now shares the file; False where the file system, or the kernel, says no."""
    try:
        temporary.hardlink_to(origin)
    except OSError as error:
        if error.errno in _LINK_FAILS:
            return False
        raise
    return True


def _copy(origin: Path, temporary: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with origin.open("rb", buffering=0) as source:
        target = os.open(temporary, flags, 0o600)
        try:
            offset = 0
            while count := os.sendfile(target, source.fileno(), offset, 1 << 30):
                offset += count
        finally:
            os.close(target)


def batches(names: Iterable[str], *, size: int = BATCH) -> Iterator[list[str]]:
    """The names, so many at a time."""
    rest = iter(names)
    while batch := list(islice(rest, size)):
        yield batch
