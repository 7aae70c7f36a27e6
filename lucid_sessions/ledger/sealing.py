"""The only code that signs: adds records to the log, and never signs a second history."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from lucid_sessions.archive import (
    TILE_WIDTH,
    Checkpoint,
    LogKey,
    entries_path,
    sign_checkpoint,
    tile_path,
    tile_width,
)
from lucid_sessions.durable import blaming, make_directory, write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger.growth import Growth
from lucid_sessions.ledger.published import read_checkpoint
from lucid_sessions.ledger.tree import Tree


class Sealer:
    """The log's key, and the pin: a file outside the log with the last checkpoint that the key signed.

    The order of writes: bundles and tiles, the pin, the checkpoint. What the pin says was signed is on the
    disk by then; what a reader can see was pinned before. A crash between any two is repaired by the next
    `extend` with the same records.
    """

    def __init__(self, root: Path, *, key: LogKey, pin: Path) -> None:
        if pin.is_relative_to(root):
            raise Refused(f"The pin {pin} lies inside the ledger {root}, with which it would be rolled back")
        self._root, self._key, self._pin = root, key, pin

    def extend(self, tree: Tree, records: Sequence[bytes]) -> Checkpoint:
        """The new checkpoint, published, once these records follow those of the tree. Call it `alone`."""
        tree.verify()
        growth = Growth(tree, records)
        self._require_one_history(tree, growth)
        checkpoint = Checkpoint(self._key.origin, growth.size, growth.root(growth.size))
        for path, content in growth.files():
            write_durably(self._root / path, content)
        Tree(self._root, checkpoint).verify()  # what is signed is what the disk returns
        self._publish(checkpoint)
        _remove_outgrown(self._root, old=tree.size, new=checkpoint.size)
        return checkpoint

    def check(self, tree: Tree) -> None:
        """Nothing, when the tree is what was signed last; else what `extend` without records would raise."""
        self._require_one_history(tree, Growth(tree, []))

    def signed(self) -> int:
        """The size that the pin names; 0 before the first."""
        found = read_checkpoint(self._pin, self._key.vkey)
        return found[1].size if found else 0

    def adopt(self, tree: Tree) -> None:
        """The tree's checkpoint becomes the pin, which must not exist yet. Call it `alone`."""
        if self._pin.exists() or not tree.size:
            raise Refused(f"Nothing to adopt: {self._pin} exists, or the ledger {self._root} is empty")
        tree.verify()
        write_durably(self._pin, sign_checkpoint(tree.checkpoint, self._key).encode())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Retryable if another sealer is at work on this log, or with this pin; else none can begin."""
        with _locked(self._pin.with_name(f"{self._pin.name}.lock")), _locked(self._root / ".sealer.lock"):
            yield

    def _publish(self, checkpoint: Checkpoint) -> None:
        note = sign_checkpoint(checkpoint, self._key).encode()
        write_durably(self._pin, note)
        write_durably(self._root / "checkpoint", note)

    def _require_one_history(self, tree: Tree, growth: Growth) -> None:
        """Tampered unless what was signed last is the beginning of what would be signed now."""
        found = read_checkpoint(self._pin, self._key.vkey)
        if found is None and tree.size == 0:
            return
        if found is None:
            raise Refused(
                f"The sealer's pin is missing ({self._pin}), so nothing shows that {self._root} with its "
                f"{tree.size} records is what was signed last: bring it back, or adopt the ledger"
            )
        pinned = found[1]
        if pinned.size and not tree.size and not (self._root / "tile").exists():
            raise Retryable(
                f"The ledger {self._root} is empty, but {pinned.size} records were signed ({self._pin}): "
                f"mount its disk, or restore it from a backup"
            )
        root = growth.root(pinned.size) if pinned.size <= growth.size else None
        if root != pinned.root:
            raise Tampered(_two_histories(pinned, tree=tree, growth=growth, pin=self._pin, ledger=self._root))


def _two_histories(pinned: Checkpoint, *, tree: Tree, growth: Growth, pin: Path, ledger: Path) -> str:
    at = min(pinned.size, growth.size)
    return (
        f"Not signed, because it would be a second history. Signed before: {pinned.size} records with root "
        f"{pinned.root.hex()} ({pin}). Now: {tree.size} records, {growth.size} with those to be added, and "
        f"root {growth.root(at).hex()} at {at} ({ledger}). Restore the ledger and the database to the newer"
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    make_directory(path.parent)
    with blaming("lock", path):
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(lock, path)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    with blaming("lock", path):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Retryable(f"Another sealer is at work ({path} is locked): run one only") from None


def _remove_outgrown(root: Path, *, old: int, new: int) -> None:
    """Partial tiles and bundles go once their full one is published; readers fall back to that (C2SP).

    Best effort: a crash leaves some behind, which harms nobody; the tile before the edge is looked at
    again for that reason. Levels above 0 have 256 times fewer, which may stay.
    """
    edge = old // TILE_WIDTH
    for index in {max(0, edge - 1), edge}:
        if tile_width(0, index, size=new) == TILE_WIDTH:
            for path in (tile_path(0, index), entries_path(index)):
                shutil.rmtree(root / f"{path}.p", ignore_errors=True)
