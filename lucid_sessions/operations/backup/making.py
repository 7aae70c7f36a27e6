"""One backup, begun and finished while everything goes on: start reading at `make`.

The order is what makes it consistent. First one point of the database; then the log, the blobs and the keys,
which by then hold at least what the database names, since each is written before the row that names it. What
a shredding takes away in between is looked up again and is no fault.

The manifest is written last, by a rename, after all of it was read back. Until then there is no snapshot.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from lucid_sessions import archive
from lucid_sessions.blobs import Blobs, FileBlobs, Where
from lucid_sessions.durable import blaming, make_directory, write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.recordings import failpoints, upkeep
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import ARCHIVED, Status
from lucid_sessions.recordings.models import Chunk, LedgerRecord, Session, SessionKey

from . import engines, losses, mirror, rows, signing
from .apart import require_apart, require_mounted, same_file_system
from .bulk import Moved, Way, digest_of, lengths_of, sync_file_system
from .carrying import mover
from .keyset import Keys
from .point import one_point
from .retaining import Policy, new_id, next_serial
from .shelf import MANIFEST, VERSION, Owner, Shelf
from .shelves import claim
from .snapshots import prune, read_list

log = structlog.get_logger(__name__)

FORMAT = "lucid/1 backup"
GONE = (Status.EXPIRING, Status.DELETED)
# Serialising takes about a second for so many.
CHEAP_ROWS = 2_000
# 273 years: the calendar itself ends beyond two thousand.
LONGEST_DAYS = 99_999
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Orders:
    """Where to, and what stays how long. `keys`: where the key backup goes, if not beside the rest.

    rows: `always`, `never`, or `auto`: the portable form too, as long as that takes a second or two.
    anew: where the last backup was made there may be nothing now.
    """

    shelf: Path | Where
    keys: Path | None = None
    policy: Policy = field(default_factory=Policy)
    keys_days: int = 7
    link: bool = True
    rows: str = "auto"
    anew: bool = False


@dataclass
class Made:
    """A finished backup: what it holds, what of it was new, and what could not be had."""

    snapshot: str
    blobs: int = 0
    new_blobs: int = 0
    new_bytes: int = 0
    records: int = 0
    key_files: int = 0
    pruned: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    # Of the problems: those that were known before, which another try would not mend.
    known: int = 0


@dataclass(frozen=True)
class Point:
    """What the database named at the point in time of the snapshot."""

    archived: frozenset[str]
    shredded: frozenset[str]
    keyed: frozenset[str]
    records: int


def make(world: Installation, orders: Orders, *, tell: Tell = lambda *_: None) -> Made:
    """The finished backup. Errors leave the earlier ones as they were; what was copied is found next time.

    Refused: a directory that cannot serve. Retryable: a disk, the database or the store is away or full.
    """
    if max(orders.policy.days, orders.keys_days) > LONGEST_DAYS:
        raise Refused(f"Nothing is kept for more than {LONGEST_DAYS} days: say fewer")
    require_apart(world, [orders.shelf, *([orders.keys] if orders.keys else [])])
    if not orders.anew:
        require_mounted({"place": orders.shelf, "keys": orders.keys}, upkeep.recall(upkeep.BACKUP))
    if not world.blobs.present():
        raise Retryable(f"No blob store at {world.blobs.place}: mount that disk; nothing was backed up")
    key = signing.backup_key(world.keys_root)
    owner = Owner(world.keys.repository.hex(), key.public.hex())
    if orders.keys:
        Keys(orders.keys, owner.repository, owner.key).require_ours()
    shelf = claim(orders.shelf, owner, world=world)
    with shelf.alone():
        made = _Making(world, orders, shelf, key, tell).snapshot()
    facts = {"snapshot": made.snapshot, "place": shelf.place, "keys": str(orders.keys or "")}
    upkeep.note_backup(facts, good=len(made.problems) == made.known)
    return made


@dataclass(frozen=True)
class _Making:
    world: Installation
    orders: Orders
    shelf: Shelf
    key: archive.Writer
    tell: Tell

    def snapshot(self) -> Made:
        now = datetime.now(tz=UTC)
        keys = self._key_backups()
        # A vault may hold those of an earlier shelf, which are older whatever stands here.
        made = Made(new_id(next_serial([*self.shelf.snapshots, *keys.names()]), now))
        work = self.shelf.begin()
        with blaming("write", work):
            point = self._metadata(work)
            failpoints.reach("backup.metadata")
            copy = mirror.mirror_of(self.shelf.root, self.world.keys.log_vkey)
            note = mirror.keep(self.world.log(), copy)
            made.records = archive.open_checkpoint(note, copy.vkey).size if note else 0
            failpoints.reach("backup.ledger")
            moved = self._blobs(made)
            self._write_list(work, moved)
            self._name(made, losses.missing(point.archived - moved.lengths.keys() - moved.bad.keys()))
            self._keep_keys(keys, made, point)
            failpoints.reach("backup.keys")
            self._seal(work, made, moved, point=point, note=note, keys=keys)
        failpoints.reach("backup.sealed")
        self.shelf.finish(work, made.snapshot)
        self.shelf.manifest(made.snapshot)
        failpoints.reach("backup.finished")
        made.pruned = prune(self.shelf, self.orders.policy, now=now)
        self._prune_keys(keys, now - timedelta(days=self.orders.keys_days))
        self.shelf.settle()
        return made

    def _prune_keys(self, keys: Keys, limit: datetime) -> None:
        """Shredded keys go by the age limit; also those that were kept beside the rest before they moved."""
        before_us = int(limit.timestamp()) * 1_000_000
        keys.prune(before_us=before_us)
        beside = replace(keys, root=self.shelf.root / "keys")
        if beside.root.resolve() != keys.root.resolve():
            beside.prune(before_us=before_us, least=0)

    def _metadata(self, work: Path) -> Point:
        folder = work / "metadata"
        make_directory(folder)
        self.tell("metadata", 0, 0)
        with one_point():
            engines.dump(folder)
            if self._portable():
                rows.dump(folder / "rows.jsonl.zst")
            gone = Session.objects.filter(status__in=GONE).values_list("pk", flat=True)
            point = Point(
                frozenset(Chunk.objects.filter(state__in=ARCHIVED).values_list("blob", flat=True)),
                frozenset(map(str, gone)),
                frozenset(map(str, SessionKey.objects.values_list("session", flat=True))),
                LedgerRecord.objects.count(),
            )
        write_durably(work / "repository.json", (self.world.keys_root / "repository.json").read_bytes())
        return point

    def _portable(self) -> bool:
        if engines.engine() not in ("sqlite", "mongodb") or self.orders.rows == "always":
            return True
        return self.orders.rows == "auto" and not Chunk.objects.order_by("pk")[CHEAP_ROWS:].exists()

    def _blobs(self, made: Made) -> Moved:
        """Everything in the store, with or without a row: `rebuild` can use what the database has lost."""
        pool = self.shelf.create_pool()
        known = self._known()
        stored = list(self.world.blobs.names())
        there = _kept(pool, known, stored)
        new = [name for name in stored if name not in there]
        self._require_room(new)
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            self.tell("blobs", done, len(new))

        carrier = mover(self.world.blobs, pool, Way.LINK if self.orders.link else Way.COPY)
        moved = carrier.move(new, tell=tell)
        made.new_blobs, made.new_bytes = moved.written, moved.written_bytes
        self._name(made, losses.rotten(moved.bad))
        moved.lengths |= {name: known[name] for name in there}
        made.blobs = len(moved.lengths)
        return moved

    def _known(self) -> dict[str, int]:
        """The blobs of the newest snapshot, each of which was read back when it came into the pool."""
        newest = self.shelf.snapshots[-1:]
        try:
            return read_list(self.shelf, newest[0]) if newest else {}
        except Tampered as error:
            log.warning("every blob of the backups is read again", reason=str(error))
            return {}

    def _require_room(self, new: Iterable[str]) -> None:
        store = self.world.local_blobs
        if not isinstance(self.shelf.pool, FileBlobs):
            return  # nobody can say how much a bucket takes
        if self.orders.link and store and same_file_system(store, self.shelf.root):
            return
        needed, free = sum(map(self._length, new)), shutil.disk_usage(self.shelf.root).free
        if needed > free:
            raise Retryable(
                f"Not backed up: the new blobs take {needed / 1e9:.2f} GB, {self.shelf.root} has "
                f"{free / 1e9:.2f} GB free. Free space there, or prune with a shorter --keep-days."
            )

    def _length(self, name: str) -> int:
        try:
            return self.world.blobs.size(name)
        except Tampered:
            return 0  # shredded since it was listed; whether it is lost, the copying says

    def _write_list(self, work: Path, moved: Moved) -> None:
        lines = (f"{name} {moved.lengths[name]}\n" for name in sorted(moved.lengths))
        write_durably(work / "blobs.txt", "".join(lines).encode())

    def _name(self, made: Made, lost: tuple[list[str], int]) -> None:
        made.problems += lost[0]
        made.known += lost[1]

    def _key_backups(self) -> Keys:
        root = self.orders.keys or self.shelf.root / "keys"
        make_directory(root)
        return Keys(root, self.shelf.owner.repository, self.shelf.owner.key)

    def _keep_keys(self, keys: Keys, made: Made, point: Point) -> None:
        made.key_files = keys.keep(self.world.keys_root, made.snapshot, key=self.key)
        there = {str(one) for one in keys.sessions(made.snapshot)}
        for session in sorted(point.keyed - point.shredded - there):
            if Session.objects.filter(pk=session).exclude(status__in=GONE).exists():
                made.problems.append(f"the key of session {session} is missing from {self.world.keys_root}")

    def _seal(
        self, work: Path, made: Made, moved: Moved, *, point: Point, note: str | None, keys: Keys
    ) -> None:
        """The manifest: every file's hash as the disk gives it back, signed."""
        sync_file_system(work)
        paths = sorted(path for path in work.rglob("*") if path.is_file())
        content: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "repository": self.shelf.owner.repository,
            "snapshot": made.snapshot,
            "engine": engines.engine(),
            "files": {str(path.relative_to(work)): _facts(path) for path in paths},
            "blobs": {"count": len(moved.lengths), "bytes": sum(moved.lengths.values())},
            "log": {"vkey": self.world.keys.log_vkey, "size": made.records, "checkpoint": note or ""},
            "rows": {"records": point.records, "archived": len(point.archived)},
            "shredded": sorted(point.shredded),
            "keys": str(keys.root) if self.orders.keys else "keys",
            "problems": made.problems[:100],
        }
        signing.write_signed(work / MANIFEST, content, key=self.key)


def _kept(pool: Blobs, known: dict[str, int], stored: list[str]) -> set[str]:
    """Those of the stored blobs that an earlier backup has read back, and that are in its pool still."""
    wanted = [name for name in stored if name in known]
    if isinstance(pool, FileBlobs):
        found = lengths_of(pool.root, wanted)
        return {name for name in wanted if found.get(name) == known[name]}
    return set(pool.names()).intersection(wanted)


def _facts(path: Path) -> dict[str, Any]:
    found, length = digest_of(path, from_disk=True)
    return {"sha256": found, "length": length}


def shares_disk(world: Installation, orders: Orders) -> bool:
    """True when the loss of one disk takes store and backup together."""
    store = world.local_blobs
    return store is not None and isinstance(orders.shelf, Path) and same_file_system(store, orders.shelf)
