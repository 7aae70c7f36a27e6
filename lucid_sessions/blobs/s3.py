"""Blobs in an S3 bucket: <prefix>blobs/<64 hexadecimal digits>. The same promises as a directory's."""

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from lucid_sessions.blobs.address import SEARCHED, Credentials, Where
from lucid_sessions.blobs.bucket import Bucket, Object
from lucid_sessions.blobs.names import (
    MARKER,
    MOST_BYTES,
    Missing,
    blob_name,
    checked_name,
    is_blob_name,
    too_long,
)
from lucid_sessions.durable import Bytes
from lucid_sessions.errors import Refused, Tampered

FOLDER = "blobs/"


class S3Blobs:
    """A bucket of blobs. `create` makes the store (never the bucket), once; the constructor opens it.

    Errors: Missing (Retryable) when bucket or store is not there, Retryable when the service fails, Tampered
    when a blob that was asked for is gone or is not what its name says.
    """

    def __init__(self, where: Where, credentials: Credentials = SEARCHED) -> None:
        self.bucket = Bucket(where, credentials)
        self._seen = False

    @classmethod
    def create(cls, where: Where, credentials: Credentials = SEARCHED) -> "S3Blobs":
        """The store there, made if it is new. For set-up only: a running service must not make one."""
        store = cls(where, credentials)
        if not store.present():
            store.bucket.put(MARKER, b"Lucid Sessions blobs, layout 1: blobs/<SHA-256>\n")
        return store

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self.bucket.where)

    def present(self) -> bool:
        """True if a blob store is there. Missing, not False, when there is no such bucket."""
        return self.bucket.look(MARKER) is not None

    def put(self, data: Bytes, *, name: str) -> None:
        """The blob is stored durably and was verified. Again with the same bytes: nothing changes."""
        self._require_named(data, name)
        if not self.bucket.put(FOLDER + name, data, only_new=True):
            self.check(name)  # what an earlier put left there is what its name says

    def replace(self, data: Bytes, *, name: str) -> None:
        """The same, whatever lies there: it goes when this is in its place, so there is never nothing."""
        self._require_named(data, name)
        self.bucket.put(FOLDER + name, data)

    def get(self, name: str) -> bytes:
        """The stored bytes, unverified: open_blob, or blob_name, says whether they are the right ones."""
        content = self.bucket.get(FOLDER + checked_name(name), most=MOST_BYTES + 1)
        if content is None:
            raise self._gone(name)
        if len(content) > MOST_BYTES:
            raise too_long(f"{self.place}{FOLDER}{name}")
        return content

    def start(self, name: str, length: int) -> bytes:
        """The first so many bytes of it."""
        content = self.bucket.get(FOLDER + checked_name(name), first=length)
        if content is None:
            raise self._gone(name)
        return content

    def open(self, name: str) -> BinaryIO:
        """The stored bytes as a file to read, unverified."""
        return io.BytesIO(self.get(name))

    def size(self, name: str) -> int:
        """The length of the stored blob in bytes."""
        return self._look(name).size

    def check(self, name: str) -> int:
        """Its length in bytes, its bytes having the hash that is its name; Tampered otherwise.

        The service's own SHA-256 is believed, unless the address says `verify=read`.
        """
        found = self._look(name)
        if found.sha256 == bytes.fromhex(name) and self.bucket.where.verify != "read":
            return found.size
        actual = hashlib.sha256(self.get(name)).hexdigest()
        if actual != name:
            raise Tampered(
                f"{self.place}{FOLDER}{name} holds not the blob of its name but {actual}: "
                "restore it from a backup"
            )
        return found.size

    def written_at(self, name: str) -> float:
        """When it was stored, in seconds since 1970, by the service's clock."""
        return self._look(name).modified.timestamp()

    def exists(self, name: str) -> bool:
        """True if the store holds a blob of that name. Missing, not False, when the store is not there."""
        if self.bucket.look(FOLDER + checked_name(name)):
            return True
        self._require_store()
        return False

    def delete(self, name: str) -> None:
        """The blob is gone with all its versions; one that was not there is gone already."""
        checked_name(name)
        self._require_store()
        self.bucket.delete(FOLDER + name)

    def names(self, *, after: str = "") -> Iterator[str]:
        """Every blob's name behind `after`, in order. Strange objects are passed over."""
        for name, _ in self.sizes(after=after):
            yield name

    def sizes(self, *, after: str = "") -> Iterator[tuple[str, int]]:
        """The same, each with its length in bytes: one request for a thousand."""
        self._require_store()
        for found in self.bucket.objects(FOLDER, after=FOLDER + after if after else ""):
            name = found.key[len(FOLDER) :]
            if is_blob_name(name):
                yield name, found.size

    def free_bytes(self) -> int | None:
        """None: nobody can say how much more the service takes."""
        return None

    def free_inodes(self) -> int | None:
        """None: there is no such limit."""
        return None

    def put_aside(self, data: Bytes, *, name: str) -> None:
        """Evidence is kept beside the blobs, where nobody takes it for one."""
        self.bucket.put(f"quarantine/{name}", data)

    def lock(self, name: str) -> None:
        """Nobody can delete the blob before `unlock`, if the bucket can do that; not even we."""
        if self.bucket.where.lock:
            self.bucket.set_hold(FOLDER + checked_name(name), "ON")

    def unlock(self, name: str) -> None:
        """The blob can be deleted again."""
        if self.bucket.where.lock:
            self.bucket.set_hold(FOLDER + checked_name(name), "OFF")

    def sweep(self, *, older_than_seconds: float) -> int:
        """How many unfinished uploads of dead writers were removed."""
        limit = datetime.now(tz=UTC) - timedelta(seconds=older_than_seconds)
        return self.bucket.abandon_uploads(before=limit)

    def _require_named(self, data: Bytes, name: str) -> None:
        checked_name(name)
        self._require_store()
        if blob_name(data) != name:
            raise Refused(f"Not stored: the bytes given for blob {name} have another SHA-256")

    def _look(self, name: str) -> Object:
        found = self.bucket.look(FOLDER + checked_name(name))
        if found is None:
            raise self._gone(name)
        return found

    def _require_store(self) -> None:
        # Once seen, for good: a bucket is not unmounted, and one that is deleted says NoSuchBucket.
        self._seen = self._seen or self.present()
        if not self._seen:
            raise Missing(
                f"No blob store at {self.place} (it holds no object {MARKER}): correct STORAGE_URL; only "
                "set-up makes a new store (`manage.py keys init`, `manage.py storage create`)"
            )

    def _gone(self, name: str) -> Tampered:
        self._require_store()
        return Tampered(f"Blob {name} is missing from {self.place}{FOLDER}: restore it from a backup")
