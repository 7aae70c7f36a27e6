"""The way back, into an empty installation or over a damaged one: start reading at `restore`.

Nothing is written before the backup has been verified as far as it decides anything. Then, in this order:
what was shredded is found out; keys and blobs (without those of shredded sessions), the log, the database;
then the database is brought up to the log, which may be newer. Each step finds out what is there already, so
a run that died is finished by the next. What was there of the database is put aside, never deleted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from lucid_sessions.errors import Refused, Tampered
from lucid_sessions.ledger import Log
from lucid_sessions.recordings import failpoints, locks
from lucid_sessions.recordings.installation import Installation

from . import aftermath, engines, journal, mirror, rows, shreddings, signing, succession
from .apart import require_apart
from .bulk import Way
from .carrying import mover
from .keyset import Keys
from .recovery import Recovered, Recovery, Shredded, unlock
from .retaining import made_at
from .shelf import Shelf
from .shelves import Place, opened
from .snapshots import check_files, read_list

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wish:
    """What to restore from where, and what the operator vouches for.

    over: the installation is damaged, not empty. log: `keep` signs nothing unless the pin is there; `adopt`
    vouches that nothing was signed after the backup; `continue` begins a new log, of `origin`.
    """

    shelf: Place
    keys: Path | None = None
    snapshot: str = ""
    over: bool = False
    log: str = "keep"
    origin: str = ""
    lost_spools: tuple[str, ...] = ()


@dataclass
class Restored:
    """What was brought back, and what could not be. in_place: the database was, by an earlier run."""

    snapshot: str
    made_at: datetime
    blobs: int = 0
    written: int = 0
    written_bytes: int = 0
    shredded: int = 0
    records: int = 0
    recovered: Recovered = field(default_factory=Recovered)
    problems: list[str] = field(default_factory=list)
    sealing: str = ""
    in_place: bool = False


def restore(world: Installation, wish: Wish, *, tell: Tell = lambda *_: None) -> Restored:
    """What was restored. Refused, Tampered and Retryable leave the installation as it was, up to the first
    write; a run that died, or met a full disk, is repeated."""
    require_apart(world, [wish.shelf, *([wish.keys] if wish.keys else [])])
    shelf = opened(wish.shelf, credentials=world.credentials)
    with shelf.alone():
        return _Restoring(world, wish, shelf, tell).run()


@dataclass(frozen=True)
class _Restoring:
    world: Installation
    wish: Wish
    shelf: Shelf
    tell: Tell

    def run(self) -> Restored:
        snapshot, manifest = self._chosen()
        self._require_blobs(manifest)
        log, note = self._log_of(manifest)
        keys = self._key_backup(manifest)
        name = snapshot if snapshot in keys.names() else keys.names()[-1]
        keys.sessions(name)  # every key file was read, and is what was signed
        gone, unread = shreddings.found(self.world, self.shelf, log)
        if self.wish.log == "continue":
            succession.require_origin(self.world, self.wish.origin, vkey=log.vkey)
        aside = journal.begin(self.world, snapshot, over=self.wish.over)
        done = Restored(snapshot, made_at(snapshot), shredded=len(gone.all), problems=unread)
        done.in_place = not aside
        self.tell("keys", 0, 0)
        differing = keys.restore(name, self.world.keys_root, without=gone.all)
        done.problems += [f"key file {path} differs from the backup's: *.from-backup" for path in differing]
        if (newest := keys.names()[-1]) != name:
            # Its sessions may be newer: the log tells of them, and the blobs are there.
            done.problems += keys.complete(newest, self.world.keys_root, without=gone.all)
        failpoints.reach("restore.keys")
        self._blobs(done, self._wanted(snapshot, log, gone))
        failpoints.reach("restore.blobs")
        if note:
            mirror.bring_back(log, self.world.log(), note=note)
        failpoints.reach("restore.ledger")
        if aside:
            self._database(manifest, aside)
        journal.note(self.world, snapshot, "")
        failpoints.reach("restore.database")
        done.recovered = Recovery(self.world, gone, partial(unlock, self.world)).forward()
        done.problems += done.recovered.lost
        failpoints.reach("restore.recovered")
        locks.forget()  # the blobs may be others than those that the database knows to be locked
        aftermath.give_up_spools(self.world, self.wish.lost_spools)
        done.sealing = aftermath.settle_log(self.world, self.wish.log, origin=self.wish.origin)
        done.records = replace(self.world).log().size
        journal.end(self.world)
        return done

    def _chosen(self) -> tuple[str, dict[str, Any]]:
        """The snapshot's id and manifest, every file of its metadata being what was signed."""
        snapshot = self.shelf.chosen(self.wish.snapshot)
        self.shelf.refresh(whole=snapshot)
        manifest = self.shelf.manifest(snapshot)
        check_files(self.shelf, snapshot, manifest)
        self._require_ours()
        return snapshot, manifest

    def _require_ours(self) -> None:
        ring, pinned = self.world.keys, signing.pinned(self.world.keys_root)
        if ring.exists and ring.repository.hex() != self.shelf.owner.repository:
            raise Refused(
                f"{self.shelf.place} holds the backups of another installation "
                f"(repository {self.shelf.owner.repository[:16]}…, here is {ring.repository.hex()[:16]}…)"
            )
        if pinned and pinned != self.shelf.owner.key:
            raise Refused(
                f"{self.shelf.place} is signed by backup key {self.shelf.owner.key[:16]}…, "
                f"but this installation pins {pinned[:16]}… ({self.world.keys_root / signing.PIN})"
            )

    def _log_of(self, manifest: dict[str, Any]) -> tuple[Log, str]:
        """The mirror of the log and its newest checkpoint, verified to the last body."""
        log = mirror.mirror_of(self.shelf.root, manifest["log"]["vkey"])
        if self.world.keys.exists:
            # The installation's log may have succeeded the snapshot's, whose records it begins with.
            newer = mirror.mirror_of(self.shelf.root, self.world.keys.log_vkey)
            log = newer if newer.checkpoint() else log
        note = log.checkpoint_text() or ""
        if manifest["log"]["size"] and not note:
            raise Tampered(f"{log.root / 'checkpoint'} is missing: this backup is not whole")
        if manifest["log"]["size"]:
            mirror.check(log, note)
        return log, note

    def _require_blobs(self, manifest: dict[str, Any]) -> None:
        """Tampered where nobody has any: with a store that survived, those of the backup may be lost."""
        if manifest["blobs"]["count"] and not self.shelf.pool.present() and not self.world.blobs.present():
            raise Tampered(f"The blobs of {self.shelf.place} are missing: this backup is not whole")

    def _key_backup(self, manifest: dict[str, Any]) -> Keys:
        root = self.wish.keys or self.shelf.root / manifest["keys"]
        keys = Keys(root, self.shelf.owner.repository, self.shelf.owner.key)
        if not root.is_dir() or not keys.names():
            raise Refused(f"There is no key backup in {root}: say where it is with --keys DIR")
        return keys

    def _wanted(self, snapshot: str, log: Log, gone: Shredded) -> list[str]:
        """The blobs of the snapshot, and those that the log, which may be newer, names and the backup has."""
        wanted, shredded = shreddings.named(log, gone)
        listed = read_list(self.shelf, snapshot).keys()
        newer = wanted - listed
        if newer:
            newer &= set(self.shelf.pool.names()) if self.shelf.pool.present() else set()
        return sorted((listed | newer) - shredded)

    def _blobs(self, done: Restored, names: list[str]) -> None:
        self.world.create_front()
        carrier = mover(self.shelf.pool, self.world.front, Way.BACK)
        count = 0

        def tell(more: int) -> None:
            nonlocal count
            count += more
            self.tell("blobs", count, len(names))

        moved = carrier.move(names, tell=tell)
        done.blobs, done.written = len(moved.lengths), moved.written
        done.written_bytes = moved.written_bytes
        done.problems += moved.bad.values()

    def _database(self, manifest: dict[str, Any], aside: str) -> None:
        self.tell("database", 0, 0)
        folder = self.shelf.path(manifest["snapshot"]) / "metadata"
        if manifest["engine"] == engines.engine():
            engines.load(folder, aside=aside)
            failpoints.reach("restore.loaded")
            engines.migrate()
            return
        if not (folder / "rows.jsonl.zst").is_file():
            raise Refused(
                f"The snapshot is of {manifest['engine']} and has no portable rows; "
                f"this is {engines.engine()}"
            )
        engines.put_aside(aside)
        engines.migrate()
        rows.load(rows.read(folder / "rows.jsonl.zst"))
