"""A directory of backups: whose they are, which snapshots stand in it, and that one process writes at a time.

lucid-backups.json         format, installation, public half of the key that signs
snapshots/<id>/            manifest.json and .sig, metadata/, blobs.txt, repository.json
blobs/ab/cd/<SHA-256>      the blobs of all snapshots, each once
ledger/<log>/              the log of all snapshots: it only grows, so one copy serves them all
keys/                      the key backup, unless it is kept elsewhere
work/                      a snapshot that is not finished
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucid_sessions.blobs import Blobs, FileBlobs
from lucid_sessions.durable import blaming, make_directory, sync_directory, write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered

from .signing import read_signed

FORMAT = "lucid/1 backups"
VERSION = 1
MARKER = "lucid-backups.json"
MANIFEST = "manifest.json"
DAMAGED = "damaged"
# What a dead process left, and what is in the root of each new disk of ext4.
OF_NOBODY = (".lucid-tmp", "lost+found")


@dataclass(frozen=True)
class Owner:
    """Whose backups: the repository's id, and the public half of its backup key (both hexadecimal)."""

    repository: str
    key: str


@dataclass(frozen=True)
class Shelf:
    """An opened directory of backups."""

    root: Path
    owner: Owner

    @classmethod
    def open(cls, root: Path) -> "Shelf":
        """The backups at root. Refused: there are none, or of a newer format."""
        path = root / MARKER
        with blaming("read", path):
            try:
                found = json.loads(path.read_bytes())
            except (FileNotFoundError, NotADirectoryError):
                raise Refused(f"{root} holds no backups of Lucid Sessions (no {MARKER} in it)") from None
            except ValueError as error:
                raise Tampered(f"{path} is damaged: {error}") from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise Refused(f"{root} holds something else than backups of Lucid Sessions ({MARKER})")
        if found.get("version") != VERSION:
            raise Refused(
                f"{root} is of format {found.get('version')}, this program knows {VERSION}: "
                "use the version of Lucid Sessions that made it, or a newer one"
            )
        return cls(root, Owner(str(found["repository"]), str(found["key"])))

    @classmethod
    def claim(cls, root: Path, owner: Owner) -> "Shelf":
        """The backups at root, begun if it is empty. Refused: another installation's, or other files."""
        with blaming("use", root):
            strange = [] if not root.exists() else [one.name for one in root.iterdir()]
        if MARKER not in strange and [name for name in strange if not name.endswith(OF_NOBODY)]:
            raise Refused(f"{root} holds other files and no backups: name a new or an empty directory")
        if MARKER not in strange:
            write_durably(root / MARKER, cls.marker_of(owner))
        shelf = cls.open(root)
        shelf.require(owner)
        return shelf

    @staticmethod
    def marker_of(owner: Owner) -> bytes:
        """What says that backups of this owner are here."""
        content = {"format": FORMAT, "version": VERSION, "repository": owner.repository, "key": owner.key}
        return json.dumps(content).encode() + b"\n"

    @property
    def place(self) -> str:
        """Where the backups are, for people."""
        return str(self.root)

    @property
    def pool(self) -> Blobs:
        """The blobs of all snapshots."""
        return FileBlobs(self.root / "blobs")

    def create_pool(self) -> Blobs:
        """The same, made if it is new."""
        return FileBlobs.create(self.root / "blobs")

    def require(self, owner: Owner) -> None:
        """Refused unless these are the backups of that owner."""
        if self.owner.repository != owner.repository:
            raise Refused(
                f"{self.root} holds the backups of another installation "
                f"(repository {self.owner.repository[:16]}…, this one is {owner.repository[:16]}…): "
                "name another directory"
            )
        if self.owner.key != owner.key:
            raise Refused(
                f"{self.root} was signed with another backup key "
                f"({self.owner.key[:16]}…, this installation's is {owner.key[:16]}…): "
                "bring keys/private/backup.key back, or name another directory"
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Retryable if another process writes to, prunes or restores from these backups now."""
        path = self.root / ".lock"
        with blaming("lock", path):
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                if error.errno != errno.EROFS:
                    raise
                # Mounted read-only, as a wise operator does before a restore: nobody can write.
                lock = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Retryable(f"Another backup or restore is at work in {self.root}: wait for it") from None
        finally:
            os.close(lock)

    @property
    def snapshots(self) -> list[str]:
        """The ids of all finished snapshots, oldest first."""
        folder = self.root / "snapshots"
        with blaming("list", folder):
            return sorted(one.name for one in folder.iterdir()) if folder.exists() else []

    def chosen(self, snapshot: str) -> str:
        """The id of the finished snapshot that was named, else of the newest; Refused: there is none."""
        there = self.snapshots
        if not there:
            raise Refused(f"There is no finished snapshot in {self.place}")
        if snapshot and snapshot not in there:
            raise Refused(f"There is no snapshot {snapshot} in {self.place}: {', '.join(there[-5:])}")
        return snapshot or there[-1]

    def manifest(self, snapshot: str) -> dict[str, Any]:
        """What a snapshot says of itself, its signature verified. Refused: a newer format or another's."""
        found = read_signed(self.path(snapshot) / MANIFEST, public=self.owner.key)
        if found.get("version") != VERSION:
            raise Refused(f"Snapshot {snapshot} is of format {found.get('version')}: use a newer program")
        if found["repository"] != self.owner.repository or found["snapshot"] != snapshot:
            raise Tampered(f"Snapshot {snapshot} in {self.root} is another one, put under its name")
        return found

    def path(self, snapshot: str) -> Path:
        """Where a finished snapshot stands."""
        return self.root / "snapshots" / snapshot

    def begin(self) -> Path:
        """An empty directory to make a snapshot in; what a dead process left there is gone."""
        work = self.root / "work"
        with blaming("clear", work):
            if work.exists():
                shutil.rmtree(work)
        make_directory(work)
        return work

    def finish(self, work: Path, snapshot: str) -> None:
        """The snapshot in `work` now counts, whole."""
        make_directory(self.root / "snapshots")
        with blaming("rename", work):
            work.rename(self.path(snapshot))
        sync_directory(self.root / "snapshots")
        sync_directory(self.root)

    def refresh(self, *, whole: str = "", anew: bool = False) -> None:
        """What is here is what counts: nothing to do, where it is no copy."""

    def remove(self, snapshot: str) -> None:
        """The snapshot is gone, at once or not at all."""
        trash = self.root / "work"
        with blaming("remove", self.path(snapshot)):
            shutil.rmtree(trash, ignore_errors=True)
            self.path(snapshot).rename(trash)
            shutil.rmtree(trash)

    def settle(self) -> None:
        """What was removed here is removed wherever it counts: nothing to do, where that is here."""

    def put_aside(self, name: str) -> None:
        """A rotten blob does not stay under its name; the next backup copies it anew."""
        self.put_aside_body(Path(f"{self.root}/blobs/{name[:2]}/{name[2:4]}/{name}"))

    def put_aside_body(self, path: Path) -> None:
        """The same for a body of the log."""
        make_directory(self.root / DAMAGED)
        with blaming("rename", path):
            if path.exists():
                path.rename(self.root / DAMAGED / path.name)
