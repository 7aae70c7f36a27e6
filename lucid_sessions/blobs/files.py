"""Blobs in a directory: root/ab/cd/<64 hexadecimal digits>."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lucid_sessions.blobs.names import (
    MARKER,
    MOST_BYTES,
    Missing,
    blob_name,
    checked_name,
    is_blob_name,
    too_long,
)
from lucid_sessions.durable import Bytes, blaming, remove_stray, sync_directory, sync_name, write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered

_READ_BYTES = 1 << 18


class FileBlobs:
    """A directory of blobs. `create` makes one, once; after that the constructor opens it.

    Errors: Missing (Retryable) when the store itself is not there, Retryable when the disk fails,
    Tampered when a blob that was asked for is gone or is not what its name says.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @classmethod
    def create(cls, root: Path) -> "FileBlobs":
        """The store at root, made if it is new. For set-up only: a running service must not make one."""
        store = cls(root)
        if not store.present():
            write_durably(store.root / MARKER, b"Lucid Sessions blobs, layout 1: ab/cd/<SHA-256>\n")
        return store

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self.root)

    def present(self) -> bool:
        """True if a blob store is there: made by `create`, and mounted."""
        with blaming("read", self.root):
            return (self.root / MARKER).exists()

    def put(self, data: Bytes, *, name: str) -> None:
        """The blob is stored durably and was read back. Again with the same bytes: nothing changes."""
        path = self._path(name)
        self._require_store()
        if path.exists():
            _accept(path)
        else:
            self.replace(data, name=name)

    def replace(self, data: Bytes, *, name: str) -> None:
        """The same, whatever lies there: it goes when this is in its place, so there is never nothing."""
        path = self._path(name)
        self._require_store()
        write_durably(path, data, check=lambda file: _read_back(file, path, data))

    def get(self, name: str) -> bytes:
        """The stored bytes, unverified: open_blob, or blob_name, says whether they are the right ones."""
        path = self._path(name)
        with self.open(name) as file, blaming("read", path):
            size = os.fstat(file.fileno()).st_size
            # Of the size that it has, since so much memory is taken at once; one more shows that it grows.
            content = file.read(min(size, MOST_BYTES) + 1)
        if len(content) > MOST_BYTES:
            raise too_long(path)
        return content

    def start(self, name: str, length: int) -> bytes:
        """The first so many bytes of it."""
        with self.open(name) as file, blaming("read", self._path(name)):
            return file.read(length)

    def open(self, name: str) -> BinaryIO:
        """The stored bytes as a file to read, unverified."""
        path = self._path(name)
        with blaming("read", path):
            try:
                return path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                raise self._gone(name) from None

    def size(self, name: str) -> int:
        """The length of the stored blob in bytes."""
        return self._stat(name).st_size

    def check(self, name: str) -> int:
        """Its length in bytes, its bytes having the hash that is its name; Tampered otherwise."""
        # Opened once: a blob that moves to another store meanwhile is missing here, and no failing disk.
        content = self.get(name)
        found = blob_name(content)
        if found != name:
            raise Tampered(
                f"{self._path(name)} holds not the blob of its name but {found}: restore it from a backup"
            )
        return len(content)

    def written_at(self, name: str) -> float:
        """When it was stored, in seconds since 1970, by the file system."""
        return self._stat(name).st_mtime

    def exists(self, name: str) -> bool:
        """True if the store holds a blob of that name. Missing, not False, when the store is not there."""
        with blaming("read", self._path(name)):
            if self._path(name).exists():
                return True
        self._require_store()
        return False

    def delete(self, name: str) -> None:
        """The blob is gone, and stays so after a power cut; one that was not there is gone already."""
        path = self._path(name)
        self._require_store()
        with blaming("delete", path):
            path.unlink(missing_ok=True)
            if path.parent.exists():  # synced even if it was gone: an earlier delete may have died before
                sync_directory(path.parent)

    def names(self, *, after: str = "") -> Iterator[str]:
        """Every blob's name behind `after`, in order. Temporary and strange files are passed over."""
        self._require_store()
        for first in _shards(self.root, since=after[:2]):
            for second in _shards(first, since=after[2:4] if first.endswith(after[:2]) else ""):
                found = _listed(second)
                yield from sorted(name for name in found if name > after and is_blob_name(name))

    def sizes(self, *, after: str = "") -> Iterator[tuple[str, int]]:
        """The same, each with its length in bytes."""
        for name in self.names(after=after):
            try:
                size = self.size(name)
            except Tampered:
                continue  # moved, or shredded, since its shard was listed
            yield name, size

    def free_bytes(self) -> int:
        """How much may still be written, in bytes, by a user who is not root."""
        with blaming("measure", self.root):
            room = os.statvfs(self.root)
        return room.f_bavail * room.f_frsize

    def free_inodes(self) -> int | None:
        """How many files may still be made; None where the file system has no such limit."""
        with blaming("measure", self.root):
            room = os.statvfs(self.root)
        return room.f_favail if room.f_files else None

    def put_aside(self, data: Bytes, *, name: str) -> None:
        """Evidence is kept below quarantine/, where nobody takes it for a blob."""
        write_durably(self.root / "quarantine" / name, data)

    def lock(self, name: str) -> None:
        """Nothing: a file system cannot refuse its owner. The hold in the session's row is what counts."""

    def unlock(self, name: str) -> None:
        """Nothing, for the same reason."""

    def sweep(self, *, older_than_seconds: float) -> int:
        """How many temporary files of dead writers were removed."""
        return remove_stray(self.root, older_than_seconds=older_than_seconds)

    def _stat(self, name: str) -> os.stat_result:
        path = self._path(name)
        with blaming("read", path):
            try:
                return path.stat()
            except (FileNotFoundError, NotADirectoryError):
                raise self._gone(name) from None

    def _path(self, name: str) -> Path:
        checked_name(name)
        return Path(f"{self.root}/{name[:2]}/{name[2:4]}/{name}")

    def _require_store(self) -> None:
        if not self.present():
            raise Missing(
                f"No blob store at {self.root} (it holds no file {MARKER}): mount that disk, or correct "
                f"CHUNK_STORAGE_PATH; only set-up makes a new store"
            )

    def _gone(self, name: str) -> Tampered:
        self._require_store()
        return Tampered(f"Blob {name} is missing from {self.root}: restore it from a backup")


def _shards(folder: Path | str, *, since: str) -> list[str]:
    """The paths of its shards, in order, from that one on."""
    return [f"{folder}/{name}" for name in sorted(_listed(folder)) if len(name) == 2 and name >= since]


def _listed(folder: Path | str) -> list[str]:
    """The names in a directory; none if it is no directory. Nothing is looked at twice: there are 65,536."""
    try:
        return os.listdir(folder)  # noqa: PTH208  names alone, a hundred thousand at a time
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        with blaming("list", Path(folder)):
            raise


def _accept(path: Path) -> None:
    """The file of an earlier put holds what its name says; that put may have died before its last sync."""
    _require_named(path)
    sync_name(path)


def _require_named(path: Path) -> None:
    with blaming("read", path), path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES:
            raise too_long(path)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != path.name:
        raise Tampered(f"{path} holds not the blob of its name but {found}: restore it from a backup")


def _read_back(file: int, path: Path, data: Bytes) -> None:
    """Raises unless the file system, asked anew, returns the bytes whose SHA-256 is the file's name."""
    # The pages are clean by now; dropping them makes the disk answer, not the cache.
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    size = memoryview(data).nbytes
    digest, length, buffer = hashlib.sha256(), 0, memoryview(bytearray(min(size + 1, _READ_BYTES)))
    while count := os.preadv(file, [buffer], length):
        digest.update(buffer[:count])
        length += count
    if length == size and digest.hexdigest() == path.name:
        return
    if blob_name(data) != path.name:
        raise Refused(f"Not stored: the bytes given for blob {path.name} have another SHA-256")
    raise Retryable(
        f"{path} read back as other bytes ({length} of {size}). Check that disk; nothing was stored"
    )
