"""Many blobs from one directory to another, each under its SHA-256, and every one of them read back.

The files get their names without a sync each: one syncfs covers a thousand, and only then are they read
back, from the disk and not from the cache. What a crash leaves under a name is hashed by the next run and
made anew if it is wrong; a manifest, or a database, that relies on the blobs is written only afterwards.
"""

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TypeVar

from lucid_sessions.blobs import FileBlobs, is_unreadable
from lucid_sessions.durable import TEMPORARY_SUFFIX, blaming
from lucid_sessions.errors import Retryable
from lucid_sessions.recordings import failpoints

BATCH = 1000
LOT = 20
# So many batches may wait for the disk while another one is copied.
AHEAD = 1
READ_BYTES = 1 << 18
THREADS = min(8, 2 * len(os.sched_getaffinity(0)))
_LINK_FAILS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}
_libc = ctypes.CDLL(None, use_errno=True)
_own = threading.local()
Answer = TypeVar("Answer")


@dataclass
class Moved:
    """What is there now, by name with its length; how much of it was written; and what was not to be had."""

    lengths: dict[str, int] = field(default_factory=dict)
    written: int = 0
    written_bytes: int = 0
    bad: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settled:
    """A batch on the disk: each blob's length, read back (None: missing or wrong), and which were written."""

    lengths: dict[str, int | None]
    written: set[str]


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
        moved, begun = Moved(), deque[Future[Settled]]()
        with ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(1) as behind:
            for batch in batches(names):
                fresh = {name for name in each(batch, self._place, pool=pool) if name}
                failpoints.reach("bulk.placed")
                # The disk takes this batch while the next ones are copied.
                begun.append(behind.submit(self._settle, batch, fresh))
                if len(begun) > AHEAD:
                    self._note(moved, begun.popleft().result(), tell)
            for settled in begun:
                self._note(moved, settled.result(), tell)
        return moved

    def _settle(self, batch: list[str], fresh: set[str]) -> Settled:
        """The batch is on the disk, read back; what is still wrong after a second try is told by None."""
        self._sync(fresh)
        with ThreadPoolExecutor(THREADS) as pool:
            checked = dict(zip(batch, each(batch, self._check, pool=pool), strict=True))
            # An earlier run died over these, or their disk decayed: once more, from the source.
            worn = {name for name, found in checked.items() if found is None and name not in fresh}
            worn = {name for name in pool.map(self._place, worn) if name}
        self._sync(worn)
        checked |= {name: self._check(name) for name in worn}
        return Settled(checked, fresh | worn)

    def _sync(self, written: set[str]) -> None:
        if written:
            sync_file_system(self.target.root)

    def _note(self, moved: Moved, settled: Settled, tell: Callable[[int], None]) -> None:
        for name, length in settled.lengths.items():
            if length is None:
                moved.bad[name] = self._blame(name)
                continue
            moved.lengths[name] = length
            moved.written += name in settled.written
            moved.written_bytes += length if name in settled.written else 0
        failpoints.reach("bulk.batch")
        tell(len(settled.lengths))

    def _blame(self, name: str) -> str:
        try:
            found, _ = digest_of(path_of(self.source.root, name))
        except FileNotFoundError:
            return f"blob {name} is missing from {self.source.root}"
        except Retryable as error:
            if not is_unreadable(error):
                raise
            return f"blob {name} cannot be read: {error}"
        if found == name:
            raise Retryable(f"Blob {name} read back from {self.target.root} as other bytes. Check that disk")
        return f"blob {name} in {self.source.root} holds other bytes than its name says"

    def _place(self, name: str) -> str | None:
        """The name, if a file was made; None if one is there already, or there is none to be had."""
        path, origin = path_of(self.target.root, name), path_of(self.source.root, name)
        if os.path.exists(path):
            return None
        with blaming("write", Path(path)):
            temporary = f"{os.path.dirname(path)}/.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
            try:
                self._make(origin, temporary)
                os.rename(temporary, path)
            except FileNotFoundError:
                return None  # not in the source: the check says so
            except BaseException as error:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                # Nobody says which of the two disks failed. The check names what the source does not give.
                if isinstance(error, OSError) and not _given(origin)[0]:
                    return None
                raise
        return name

    def _make(self, origin: str, temporary: str) -> None:
        make = _link if self.way == Way.LINK else _copy
        try:
            make(origin, temporary)
        except FileNotFoundError:
            # No such shard yet, or no such blob: then this fails the same way once more.
            shard = os.path.dirname(temporary)
            for folder in (os.path.dirname(shard), shard):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o700)
            make(origin, temporary)

    def _check(self, name: str) -> int | None:
        """The blob's length, read anew; None if it is missing or wrong. A wrong file does not stay."""
        path = path_of(self.target.root, name)
        try:
            found, length = _given(path, from_disk=self.way != Way.BACK)
        except FileNotFoundError:
            return None
        if found != name:
            with blaming("remove", Path(path)):
                os.unlink(path)
            return None
        return length


def path_of(root: Path, name: str) -> str:
    """Where a directory of blobs keeps this one."""
    return f"{root}/{name[:2]}/{name[2:4]}/{name}"


def lengths_of(root: Path, names: Iterable[str]) -> dict[str, int]:
    """Those of these blobs that a directory of blobs has, with the lengths of their files."""
    found = {}
    for name in names:
        with blaming("look at", root), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found[name] = os.stat(path_of(root, name)).st_size
    return found


def digest_of(path: str | Path, *, from_disk: bool = False) -> tuple[str, int]:
    """The file's SHA-256 in hexadecimal and its length; FileNotFoundError; Retryable when the disk fails."""
    digest, length = hashlib.sha256(), 0
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        with blaming("read", Path(path)):
            raise
    try:
        with blaming("read", Path(path)):
            if from_disk:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            buffer = _buffer()
            while count := os.readv(file, [buffer]):
                digest.update(buffer[:count])
                length += count
    finally:
        os.close(file)
    return digest.hexdigest(), length


def _given(path: str, *, from_disk: bool = False) -> tuple[str, int]:
    """The same; no hash where the disk has the file and does not give it, while others are well."""
    try:
        return digest_of(path, from_disk=from_disk)
    except Retryable as error:
        if not is_unreadable(error):
            raise
        return "", 0


def _buffer() -> memoryview:
    """This thread's own: a fresh one for each of many files costs more than reading them."""
    found = getattr(_own, "buffer", None)
    if found is None:
        found = _own.buffer = memoryview(bytearray(READ_BYTES))
    return found


def check_all(root: Path, names: Iterable[str]) -> Iterator[tuple[str, int | None]]:
    """Each name with the length of its file, or None when that is missing or holds other bytes."""

    def check(name: str) -> tuple[str, int | None]:
        try:
            found, length = _given(path_of(root, name), from_disk=True)
        except FileNotFoundError:
            return name, None
        return name, length if found == name else None

    with ThreadPoolExecutor(THREADS) as pool:
        for batch in batches(names):
            yield from each(batch, check, pool=pool)


def each(names: Iterable[str], act: Callable[[str], Answer], *, pool: ThreadPoolExecutor) -> Iterator[Answer]:
    """What `act` says of each name, in order; a thread takes several, since handing over costs as much."""
    for answers in pool.map(lambda lot: [act(name) for name in lot], batches(names, size=LOT)):
        yield from answers


def sync_file_system(directory: Path) -> None:
    """Everything written to this directory's file system survives a power cut."""
    with blaming("sync", directory):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _libc.syncfs(descriptor):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(descriptor)


def _link(origin: str, temporary: str) -> None:
    """Share the file; where the file system, or the kernel, says no, copy it."""
    try:
        os.link(origin, temporary)
    except OSError as error:
        if error.errno not in _LINK_FAILS:
            raise
        _copy(origin, temporary)


def _copy(origin: str, temporary: str) -> None:
    source = os.open(origin, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            offset = 0
            while count := os.sendfile(target, source, offset, 1 << 30):
                offset += count
        finally:
            os.close(target)
    finally:
        os.close(source)


def batches(names: Iterable[str], *, size: int = BATCH) -> Iterator[list[str]]:
    """The names, so many at a time."""
    rest = iter(names)
    while batch := list(islice(rest, size)):
        yield batch
