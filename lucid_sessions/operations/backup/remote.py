"""Backups in a bucket: its blobs lie there; everything else is worked on in a local copy of the rest.

The bucket is laid out as a directory of backups is (see `shelf`). What counts is what is in the bucket: the
local copy is brought up to it before anything else, and a snapshot counts there once its manifest is there,
which goes up last, after everything that it names was read back. Only one process writes at a time: it holds
the object `lock`, renewed every minute; one that was not renewed for ten minutes belongs to a dead process.
If that process was only asleep, it finds out before it writes a manifest, and its snapshot never counts.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import structlog

from lucid_sessions.blobs import Blobs, Bucket, Credentials, S3Blobs, Where
from lucid_sessions.durable import blaming, make_directory, write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.recordings import failpoints

from .shelf import DAMAGED, MANIFEST, MARKER, Owner, Shelf

log = structlog.get_logger(__name__)

LOCK = "lock"
RENEW_SECONDS = 60.0
DEAD = timedelta(minutes=10)
THREADS = 8
MUTABLE = ("/checkpoint", "/vkey", MARKER)
# Not part of the local copy; `work` is a snapshot that is being made.
ELSEWHERE = ("blobs/", "damaged/", "work/", "lucid-blobs", "quarantine/", LOCK, ".lock", ".copy")


@dataclass(frozen=True)
class RemoteShelf(Shelf):
    """An opened bucket of backups; `root` is the local copy of all but its blobs."""

    # Everything that is not a blob is small: it is read back, whatever the service says of checksums.
    bucket: Bucket = field(default_factory=lambda: Bucket(Where("")))
    # Tells our lock from any other one's, of this machine's too.
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    # The files of the local copy as they were in the bucket: what was written anew has another mark.
    _marks: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def open_in(cls, where: Where, *, credentials: Credentials, home: Path) -> "RemoteShelf":
        """The backups there. Refused: there are none, or of a newer format."""
        bucket = Bucket(replace(where, verify="read"), credentials)
        marker = bucket.get(MARKER)
        if marker is None:
            raise Refused(f"{where} holds no backups of Lucid Sessions (no {MARKER} in it)")
        local = _local(where, home)
        write_durably(local / MARKER, marker)
        return cls(local, Shelf.open(local).owner, bucket)

    @classmethod
    def claim_in(cls, where: Where, owner: Owner, *, credentials: Credentials, home: Path) -> "RemoteShelf":
        """The backups there, begun if nothing is. Refused: another installation's, or other objects."""
        bucket = Bucket(replace(where, verify="read"), credentials)
        if bucket.look(MARKER) is None:
            if strange := next(bucket.objects(), None):
                raise Refused(
                    f"{where} holds other objects ({strange.key}) and no backups: name a new prefix"
                )
            bucket.put(MARKER, Shelf.marker_of(owner), only_new=True)
        shelf = cls.open_in(where, credentials=credentials, home=home)
        shelf.require(owner)
        return shelf

    @property
    def place(self) -> str:
        """Where the backups are, for people."""
        return str(self.bucket.where)

    @property
    def pool(self) -> Blobs:
        """The blobs of all snapshots."""
        return S3Blobs(replace(self.bucket.where, verify=""), self.bucket.credentials)

    def create_pool(self) -> Blobs:
        """The same, made if it is new."""
        return S3Blobs.create(replace(self.bucket.where, verify=""), self.bucket.credentials)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Retryable if another process, here or elsewhere, is at work on these backups now."""
        with super().alone():
            self._take_lock()
            over = threading.Event()
            renewing = threading.Thread(target=self._renew, args=(over,), name="backup lock", daemon=True)
            renewing.start()
            try:
                self.refresh()
                yield
            finally:
                over.set()
                renewing.join()
                if self._is_ours(self._holder()):
                    self.bucket.delete(LOCK)

    def refresh(self, *, whole: str = "", anew: bool = False) -> None:
        """The local copy is as the bucket is; of metadata only the snapshot `whole`'s, which may be large.

        What never changes under its name is believed if its size is right; `anew` reads every byte again.
        """
        found = [one for one in self.bucket.objects() if not one.key.startswith(ELSEWHERE)]
        wanted = {one.key: one.size for one in found if _is_wanted(one.key, whole=whole)}
        for key in _files(self.root):
            if not key.startswith(ELSEWHERE) and (anew or key not in wanted):
                (self.root / key).unlink()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self._fetch, wanted, wanted.values()))
        _remove_empty(self.root / "snapshots")
        self._marks.update((key, _mark(self.root / key)) for key in wanted)

    def _fetch(self, key: str, size: int) -> None:
        path = self.root / key
        if path.exists() and path.stat().st_size == size and not key.endswith(MUTABLE):
            return
        content = self.bucket.get(key)
        if content is not None:
            write_durably(path, content)

    def finish(self, work: Path, snapshot: str) -> None:
        """The snapshot in `work` counts in the bucket, whole; then here."""
        for folder in ("ledger", "keys"):
            self._push(folder)
        failpoints.reach("backup.pushed")
        files = _files(work)
        self._upload({f"snapshots/{snapshot}/{name}": work / name for name in files if name != MANIFEST})
        failpoints.reach("backup.uploaded")
        if not self._is_ours(self._holder()):
            raise Retryable(
                f"Another backup or restore took over in {self.place}: this one was silent too long"
            )
        self._upload({f"snapshots/{snapshot}/{MANIFEST}": work / MANIFEST})
        super().finish(work, snapshot)

    def begin(self) -> Path:
        """An empty directory to make a snapshot in; what a dead process left in the bucket is gone, too.

        A snapshot without a manifest never came to be. The new one may get its very id, within the second.
        """
        begun = {one.key.split("/")[1] for one in self.bucket.objects("snapshots/")}
        for half in begun - set(self.snapshots):
            self._empty(half)
            shutil.rmtree(self.path(half), ignore_errors=True)
        return super().begin()

    def remove(self, snapshot: str) -> None:
        """The snapshot is gone, its manifest first: half a snapshot must not look like one."""
        self.bucket.delete(f"snapshots/{snapshot}/{MANIFEST}")
        self._empty(snapshot)
        super().remove(snapshot)

    def settle(self) -> None:
        """Key backups that were pruned here are gone from the bucket too."""
        keys = self.root / "keys"
        there = {f"keys/{name}" for name in _files(keys)} if keys.exists() else set()
        for one in list(self.bucket.objects("keys/")):
            if one.key not in there:
                self.bucket.delete(one.key)

    def put_aside(self, name: str) -> None:
        """A rotten blob does not stay under its name; the next backup copies it anew."""
        with contextlib.suppress(Tampered):
            self.bucket.put(f"{DAMAGED}/{name}", self.pool.get(name))
        self.pool.delete(name)

    def put_aside_body(self, path: Path) -> None:
        """The same for a body of the log."""
        if path.exists():
            self.bucket.put(f"{DAMAGED}/{path.name}", path.read_bytes())
        self.bucket.delete(str(path.relative_to(self.root)))
        path.unlink(missing_ok=True)

    @property
    def snapshots(self) -> list[str]:
        """The ids of all finished snapshots, oldest first."""
        return [one for one in super().snapshots if (self.path(one) / MANIFEST).is_file()]

    def _empty(self, snapshot: str) -> None:
        for one in list(self.bucket.objects(f"snapshots/{snapshot}/")):
            self.bucket.delete(one.key)

    def _push(self, folder: str) -> None:
        """What is new or changed below a folder of the local copy is in the bucket."""
        there = {one.key for one in self.bucket.objects(f"{folder}/")}
        found = {f"{folder}/{name}": self.root / folder / name for name in _files(self.root / folder)}
        self._upload(
            {
                key: path
                for key, path in found.items()
                if key not in there or self._marks.get(key) != _mark(path)
            }
        )

    def _upload(self, files: dict[str, Path]) -> None:
        def upload(pair: tuple[str, Path]) -> None:
            key, path = pair
            with blaming("read", path):
                content = path.read_bytes()
            self.bucket.put(key, content)

        with ThreadPoolExecutor(THREADS) as pool:
            # Checkpoints last: what they cover is there by then.
            list(pool.map(upload, [pair for pair in files.items() if not pair[0].endswith("/checkpoint")]))
            list(pool.map(upload, [pair for pair in files.items() if pair[0].endswith("/checkpoint")]))

    def _take_lock(self) -> None:
        while not self.bucket.put(LOCK, self._claim(), only_new=True):
            held = self.bucket.look(LOCK)
            if held is None:
                continue
            # Of this machine only one process comes here at a time: whoever wrote that is dead.
            ours = self._holder().get("copy") == self._copy
            if not ours and self.bucket.clock() - held.modified < DEAD:
                raise Retryable(f"Another backup or restore is at work in {self.place}: wait for it")
            log.warning("lock of a dead backup removed", place=self.place)
            self.bucket.delete(LOCK)

    def _holder(self) -> dict[str, str]:
        """What the lock says of whoever holds it; nothing when nobody does."""
        return dict(json.loads(self.bucket.get(LOCK) or b"{}"))

    def _is_ours(self, holder: dict[str, str]) -> bool:
        return holder.get("token") == self.token

    @property
    def _copy(self) -> str:
        """Names this machine's local copy, and no other one."""
        path = self.root / ".copy"
        if not path.exists():
            write_durably(path, os.urandom(16).hex().encode())
        return path.read_text(encoding="ascii")

    def _claim(self) -> bytes:
        return json.dumps({"copy": self._copy, "token": self.token}).encode()

    def _renew(self, over: threading.Event) -> None:
        while not over.wait(RENEW_SECONDS):
            with contextlib.suppress(Retryable):
                if self._is_ours(self._holder()):
                    self.bucket.put(LOCK, self._claim())


def _local(where: Where, home: Path) -> Path:
    """The local copy's directory: one for each place, since two must not mix."""
    place = f"{where.endpoint} {where.bucket} {where.prefix}"
    local = home / hashlib.sha256(place.encode()).hexdigest()[:16]
    make_directory(local)
    return local


def _files(root: Path) -> list[str]:
    """Every file below root, relative to it."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def _is_wanted(key: str, *, whole: str) -> bool:
    return "/metadata/" not in key or key.split("/")[1] == whole


def _mark(path: Path) -> tuple[int, int]:
    """Changes whenever a file is written anew."""
    with blaming("look at", path):
        found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _remove_empty(folder: Path) -> None:
    for one in folder.iterdir() if folder.exists() else ():
        if not any(path.is_file() for path in one.rglob("*")):
            shutil.rmtree(one)
