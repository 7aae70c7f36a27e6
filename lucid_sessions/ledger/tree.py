"""What one checkpoint commits to, read from tiles and bundles, and verified against it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lucid_sessions.archive import (
    TILE_WIDTH,
    Checkpoint,
    entries_path,
    leaf_hash,
    tile_consistency_proof,
    tile_inclusion_proof,
    tile_path,
    tile_root,
    tile_width,
    unbundle_entries,
    verify_consistency,
    verify_inclusion,
)
from lucid_sessions.durable import blaming
from lucid_sessions.errors import Refused, Tampered

HASH_BYTES = 32


class Tree:
    """A log at one checkpoint. Every answer was shown to belong to it; Tampered if the files say otherwise.

    Reads only the tiles that an answer needs, and each once, so that what was verified is what is used.
    """

    def __init__(self, files: Path, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.size = checkpoint.size
        self._files = files
        self._known: dict[str, bytes] = {}
        self._bundles: dict[int, list[bytes]] = {}

    def verify(self) -> None:
        """Nothing, if the tiles at the right edge hash to the checkpoint's root."""
        root = tile_root(self.read_tile, self.size)
        if root != self.checkpoint.root:
            raise Tampered(
                f"The tiles in {self._files} hash to {root.hex()}, but the checkpoint of size {self.size} "
                f"says {self.checkpoint.root.hex()}: restore the ledger from a backup"
            )

    def root(self, size: int) -> bytes:
        """The root over the first `size` records, shown to be the beginning of this tree."""
        if not 0 <= size <= self.size:
            raise Refused(f"there is no tree of size {size} in a ledger of {self.size} records")
        root, whole = tile_root(self.read_tile, size), self.checkpoint.root
        proof = tile_consistency_proof(self.read_tile, size, self.size)
        with self._naming_the_ledger():
            verify_consistency(old_size=size, old_root=root, new_size=self.size, new_root=whole, proof=proof)
        return root

    def record(self, index: int) -> bytes:
        """The record at this index."""
        if not 0 <= index < self.size:
            raise Refused(f"there is no record {index} in a ledger of {self.size} records")
        return self.bundle(index // TILE_WIDTH)[index % TILE_WIDTH]

    def inclusion_proof(self, index: int, *, size: int) -> list[bytes]:
        """The hashes that lead from record `index` to the root of the first `size` records."""
        root = self.root(size)
        proof = tile_inclusion_proof(self.read_tile, index, size=size)
        with self._naming_the_ledger():
            verify_inclusion(self._leaf(index), index=index, size=size, proof=proof, root=root)
        return proof

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """The hashes that show the first `old` records to be the beginning of the first `new`."""
        old_root, new_root = self.root(old), self.root(new)
        proof = tile_consistency_proof(self.read_tile, old, new)
        with self._naming_the_ledger():
            verify_consistency(old_size=old, old_root=old_root, new_size=new, new_root=new_root, proof=proof)
        return proof

    def read_tile(self, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes of a tile, as stored; unverified until they lead to the root."""
        have = tile_width(level, index, size=self.size)
        hashes = self._stored(lambda at: tile_path(level, index, width=at), have)
        if len(hashes) not in (have * HASH_BYTES, TILE_WIDTH * HASH_BYTES):
            raise Tampered(f"Tile {tile_path(level, index, width=have)} in {self._files} has a wrong length")
        return hashes[: width * HASH_BYTES]

    def bundle(self, index: int) -> list[bytes]:
        """The records of a bundle, every one of them shown to be in the tree."""
        if index not in self._bundles:
            # The proof for one record of a tile takes in all the hashes of that tile, and so verifies them.
            self.inclusion_proof(index * TILE_WIDTH, size=self.size)
            self._bundles[index] = self._matching_records(index, tile_width(0, index, size=self.size))
        return self._bundles[index]

    def _matching_records(self, index: int, width: int) -> list[bytes]:
        with self._naming_the_ledger():
            records = unbundle_entries(self._stored(lambda at: entries_path(index, width=at), width))[:width]
        if b"".join(map(leaf_hash, records)) != self.read_tile(0, index, width):
            raise Tampered(
                f"The records of {entries_path(index, width=width)} in {self._files} are not those that were "
                f"signed: restore the ledger from a backup"
            )
        return records

    @contextmanager
    def _naming_the_ledger(self) -> Iterator[None]:
        try:
            yield
        except Tampered as error:
            raise Tampered(f"In the ledger {self._files}: {error}; restore it from a backup") from error

    def _leaf(self, index: int) -> bytes:
        tile, within = divmod(index, TILE_WIDTH)
        return self.read_tile(0, tile, within + 1)[-HASH_BYTES:]

    def _stored(self, path: Callable[[int], str], width: int) -> bytes:
        """The file of this width, or the full one that has taken its place since."""
        name = path(width)
        if name not in self._known:
            found = self._bytes(name) or self._bytes(path(TILE_WIDTH))
            if found is None:
                raise Tampered(f"{name} is missing from {self._files}: restore the ledger from a backup")
            self._known[name] = found
        return self._known[name]

    def _bytes(self, name: str) -> bytes | None:
        with blaming("read", self._files / name):
            try:
                return (self._files / name).read_bytes()
            except FileNotFoundError:
                return None
