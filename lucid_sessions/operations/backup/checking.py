"""Is a backup still what was signed? Every byte of one snapshot is read again; the database is not needed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lucid_sessions.durable import blaming, make_directory
from lucid_sessions.errors import LucidError

from . import mirror
from .bulk import check_all, path_of
from .keyset import Keys
from .making import read_list
from .restoring import check_files
from .shelf import Shelf

DAMAGED = "damaged"


@dataclass
class Checked:
    """What was read of a snapshot, and what was not as it was signed."""

    snapshot: str
    blobs: int = 0
    read_bytes: int = 0
    records: int = 0
    keys: int = 0
    problems: list[str] = field(default_factory=list)


def check(root: Path, snapshot: str = "", *, tell: Callable[[int, int], None] = lambda *_: None) -> Checked:
    """The newest snapshot, or the one named, read whole. A bad blob is put aside: the next backup copies it.

    Refused and Tampered: there is none, or it is damaged where it decides about all the rest.
    """
    shelf = Shelf.open(root)
    with shelf.alone():
        done = Checked(snapshot or (shelf.snapshots or [""])[-1])
        manifest = shelf.manifest(done.snapshot)
        check_files(shelf, done.snapshot, manifest)
        if manifest["log"]["size"]:
            log = mirror.mirror_of(shelf.root, manifest["log"]["vkey"])
            done.records = mirror.check(log, manifest["log"]["checkpoint"])
        done.keys = _keys(shelf, manifest["keys"], done)
        _blobs(shelf, done, tell)
    return done


def _keys(shelf: Shelf, place: str, done: Checked) -> int:
    """How many key backups there are; each that is not kept elsewhere (off-line, perhaps) was read."""
    keys = Keys(shelf.root / place, shelf.owner.repository, shelf.owner.key)
    if not keys.root.is_dir():
        return 0
    for name in keys.names():
        try:
            keys.sessions(name)
        except LucidError as error:
            done.problems.append(str(error))
    return len(keys.names())


def _blobs(shelf: Shelf, done: Checked, tell: Callable[[int, int], None]) -> None:
    listed = read_list(shelf, done.snapshot)
    for number, (name, length) in enumerate(check_all(shelf.root / "blobs", sorted(listed)), start=1):
        if length == listed[name]:
            done.blobs += 1
            done.read_bytes += length
        else:
            done.problems.append(f"blob {name} in {shelf.root} is missing or holds other bytes")
            _put_aside(shelf, name)
        tell(number, len(listed))


def _put_aside(shelf: Shelf, name: str) -> None:
    path = path_of(shelf.root / "blobs", name)
    make_directory(shelf.root / DAMAGED)
    with blaming("rename", path):
        if path.exists():
            path.rename(shelf.root / DAMAGED / name)
