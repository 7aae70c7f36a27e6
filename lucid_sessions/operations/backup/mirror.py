"""The copy of the log that all snapshots share: it only grows, and nothing in it is believed unproven."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from lucid_sessions.archive import (
    EMPTY_ROOT,
    TILE_WIDTH,
    Checkpoint,
    entries_path,
    open_checkpoint,
    tile_path,
    tile_width,
)
from lucid_sessions.durable import blaming, create_durably, write_durably
from lucid_sessions.errors import LucidError, Tampered
from lucid_sessions.ledger import Log, Tree


def mirror_of(shelf: Path, vkey: str) -> Log:
    """The copy of the log of that key; a log with another key or origin has a directory of its own."""
    return Log(shelf / "ledger" / hashlib.sha256(vkey.encode()).hexdigest()[:16], vkey=vkey)


def keep(log: Log, mirror: Log) -> str | None:
    """The newest checkpoint's note, everything that it covers now being in the mirror; None for an empty log.

    Tampered: the log's files are not what was signed, or not a continuation of what the mirror holds.
    """
    note, whole = log.published()
    if not note:
        return None
    now = whole.checkpoint
    before = mirror.checkpoint() or Checkpoint(log.origin, 0, EMPTY_ROOT)
    whole.verify()
    if now.size < before.size:
        raise Tampered(
            f"The log has {now.size} records, but {before.size} were backed up before: "
            "it was rolled back. Restore the ledger first"
        )
    _require_continuation(whole, before, mirror)
    _copy_files(now.size, source=log.root, target=mirror.root)
    copied = Tree(mirror.root, now)
    copied.verify()
    _copy_bodies(copied, range(before.size, now.size), source=log, target=mirror)
    for body in sorted(_body_names(log) - _body_names(mirror)):
        _copy_body(body, source=log, target=mirror)  # one that was lost there, or that a check put aside
    mirror.anchors.bring(log.anchors)
    write_durably(mirror.root / "vkey", log.vkey.encode())
    write_durably(mirror.root / "checkpoint", note.encode())
    return note


def _require_continuation(whole: Tree, before: Checkpoint, mirror: Log) -> None:
    if before.size and whole.root(before.size) != before.root:
        raise Tampered(
            f"The log is not a continuation of the one in {mirror.root}: two histories under one key. "
            "Find out which is right before anything else"
        )


def check(mirror: Log, note: str) -> int:
    """How many records were verified, with their bodies, of the log at this checkpoint."""
    tree = proven(mirror, note)
    for body in bodies(tree, range(tree.size)):
        mirror.read_body(body)
    return tree.size


def rotten_bodies(mirror: Log, note: str) -> Iterator[tuple[str, Path]]:
    """The bodies of the log at this checkpoint that are missing or wrong, and where they belong."""
    tree = proven(mirror, note)
    for body in bodies(tree, range(tree.size)):
        try:
            mirror.read_body(body)
        except Tampered:
            yield body, _place_of(body, mirror)


def proven(mirror: Log, note: str) -> Tree:
    """The tree of the log at this checkpoint, every tile of it verified."""
    tree = Tree(mirror.root, open_checkpoint(note, mirror.vkey))
    tree.verify()
    return tree


def bring_back(mirror: Log, log: Log, *, note: str) -> bool:
    """True if the installation's own log was kept, being whole and newer; False if it is the mirror's now.

    What the mirror holds and the log lacks, or holds otherwise, is written in either case. Tampered: both
    are signed and neither continues the other.
    """
    newest = open_checkpoint(note, mirror.vkey)
    tree = Tree(mirror.root, newest)
    tree.verify()
    own = _sound(log)
    if own is not None and own.size > newest.size and own.root(newest.size) != newest.root:
        raise Tampered(f"The log in {log.root} is not a continuation of the backup's: two histories")
    _copy_files(newest.size, source=mirror.root, target=log.root)
    _copy_bodies(tree, range(newest.size), source=mirror, target=log)
    log.anchors.bring(mirror.anchors)
    if own is not None and own.size >= newest.size:
        return True
    write_durably(log.root / "checkpoint", note.encode())
    return False


def _sound(log: Log) -> Tree | None:
    """The installation's log, if it still is what was signed; None if there is none, or it is damaged."""
    try:
        tree = log.tree()
        tree.verify()
        for body in bodies(tree, range(tree.size)):
            log.read_body(body)
    except LucidError:
        return None
    return tree if tree.size else None


def bodies(tree: Tree, indices: range) -> Iterator[str]:
    """The body that each of these records names; every record is shown to be in the log on the way."""
    for index in indices:
        if body := json.loads(tree.record(index)).get("body"):
            yield body


def records(log: Log, *, kind: str) -> Iterator[dict[str, object]]:
    """What the log's records of one kind say, verified."""
    tree = log.tree()
    for index in range(tree.size):
        facts = json.loads(tree.record(index))
        if facts["kind"] == kind:
            yield facts


def sessions_shredded(log: Log) -> set[UUID]:
    """The sessions of which the log says that they were shredded."""
    return {UUID(str(facts["session"])) for facts in records(log, kind="shredded")}


def _copy_files(size: int, *, source: Path, target: Path) -> None:
    for wanted, full in _paths(size):
        # The sealer removes a partial tile once it is full; readers fall back to that one, and so do we.
        name = wanted if (source / wanted).exists() else full
        with blaming("read", source / name):
            try:
                content = (source / name).read_bytes()
            except FileNotFoundError:
                raise Tampered(f"{wanted} is missing from {source}: restore the ledger") from None
        old = target / name
        if not (old.is_file() and old.read_bytes() == content):
            if old.is_dir():
                shutil.rmtree(old)
            write_durably(old, content)


def _paths(size: int) -> Iterator[tuple[str, str]]:
    """Every tile and bundle of a log of that size: its path, and that of the full one that may replace it."""
    level = 0
    while tile_width(level, 0, size=size):
        index = 0
        while width := tile_width(level, index, size=size):
            yield tile_path(level, index, width=width), tile_path(level, index, width=TILE_WIDTH)
            if level == 0:
                yield entries_path(index, width=width), entries_path(index, width=TILE_WIDTH)
            index += 1
        level += 1


def _copy_bodies(tree: Tree, indices: range, *, source: Log, target: Log) -> None:
    for body in bodies(tree, indices):
        try:
            target.read_body(body)
        except Tampered:
            _copy_body(body, source=source, target=target)


def _copy_body(body: str, *, source: Log, target: Log) -> None:
    place = _place_of(body, target)
    with blaming("remove", place):
        place.unlink(missing_ok=True)
    create_durably(place, source.read_body(body))
    target.read_body(body)


def _place_of(body: str, log: Log) -> Path:
    return log.root / "body" / body[:2] / body


def _body_names(log: Log) -> set[str]:
    return {path.name for path in (log.root / "body").glob("[0-9a-f][0-9a-f]/[0-9a-f]*")}
