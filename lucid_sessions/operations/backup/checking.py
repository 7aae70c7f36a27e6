"""Is a backup still what was signed? Every byte of one snapshot is read again; the database is not needed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lucid_sessions.blobs import SEARCHED, Blobs, Credentials, FileBlobs, blob_name
from lucid_sessions.errors import LucidError, Refused, Tampered

from . import mirror
from .bulk import batches, check_all
from .carrying import THREADS
from .keyset import Keys
from .shelf import Shelf
from .shelves import Place, opened
from .snapshots import check_files, read_list


@dataclass
class Checked:
    """What was read of a snapshot, and what was not as it was signed."""

    snapshot: str
    blobs: int = 0
    read_bytes: int = 0
    records: int = 0
    keys: int = 0
    problems: list[str] = field(default_factory=list)


def check(
    place: Place,
    snapshot: str = "",
    *,
    credentials: Credentials = SEARCHED,
    tell: Callable[[int, int], None] = lambda *_: None,
) -> Checked:
    """The newest snapshot, or the one named, read whole.

    A bad blob, or body of the log, is put aside: the next backup copies it.

    Refused and Tampered: there is none, or it is damaged where it decides about all the rest.
    """
    shelf = opened(place, credentials=credentials)
    with shelf.alone():
        done = Checked(shelf.chosen(snapshot))
        shelf.refresh(whole=done.snapshot, anew=True)
        manifest = shelf.manifest(done.snapshot)
        check_files(shelf, done.snapshot, manifest)
        if manifest["log"]["size"]:
            _log(shelf, manifest["log"], done)
        done.keys = _keys(shelf, manifest["keys"], done)
        _blobs(shelf, done, tell)
        _others(shelf, done)
    return done


def _log(shelf: Shelf, facts: dict[str, Any], done: Checked) -> None:
    log = mirror.mirror_of(shelf.root, facts["vkey"])
    for body, place in mirror.rotten_bodies(log, facts["checkpoint"]):
        done.problems.append(f"body {body} of the log in {shelf.place} is missing or holds other bytes")
        shelf.put_aside_body(place)
    done.records = facts["size"]


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
    for number, (name, length) in enumerate(_read_all(shelf.pool, sorted(listed)), start=1):
        if length == listed[name]:
            done.blobs += 1
            done.read_bytes += length
        else:
            done.problems.append(f"blob {name} in {shelf.place} is missing or holds other bytes")
            shelf.put_aside(name)
        tell(number, len(listed))


def _others(shelf: Shelf, done: Checked) -> None:
    """What every other snapshot says of itself is signed: restores and pruning ask all of them."""
    for snapshot in shelf.snapshots:
        try:
            read_list(shelf, snapshot)
        except (Refused, Tampered) as error:
            done.problems.append(str(error))


def _read_all(pool: Blobs, names: list[str]) -> Iterator[tuple[str, int | None]]:
    """Each name with its length, or None when it is missing or holds other bytes; every byte is read."""
    if isinstance(pool, FileBlobs):
        yield from check_all(pool.root, names)
        return
    with ThreadPoolExecutor(THREADS) as readers:
        for batch in batches(names, size=100):
            yield from zip(batch, readers.map(partial(_read, pool), batch), strict=True)


def _read(pool: Blobs, name: str) -> int | None:
    try:
        content = pool.get(name)
    except Tampered:
        return None
    return len(content) if blob_name(content) == name else None
