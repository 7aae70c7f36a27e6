"""A tree with records added, in memory: what would be written, and which roots it would have."""

from collections.abc import Iterator, Sequence

from lucid_sessions.archive import (
    TILE_WIDTH,
    bundle_entries,
    entries_path,
    leaf_hash,
    new_tiles,
    tile_root,
)
from lucid_sessions.ledger.tree import HASH_BYTES, Tree


class Growth:
    """What `records` after the last of `tree` would make of it. Writes nothing."""

    def __init__(self, tree: Tree, records: Sequence[bytes]) -> None:
        self.size = tree.size + len(records)
        self._tree = tree
        self._bundles = dict(_bundles(tree, records))
        leaves = [leaf_hash(record) for record in records]
        self._tiles = {
            (tile.level, tile.index): tile for tile in new_tiles(tree.size, leaves, read_tile=tree.read_tile)
        }

    def root(self, size: int) -> bytes:
        """The root that the first `size` records would have."""
        return tile_root(self._read_tile, size)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of every bundle and tile that is new or wider."""
        yield from self._bundles.items()
        for tile in self._tiles.values():
            yield tile.path, tile.hashes

    def _read_tile(self, level: int, index: int, width: int) -> bytes:
        tile = self._tiles.get((level, index))
        return tile.hashes[: width * HASH_BYTES] if tile else self._tree.read_tile(level, index, width)


def _bundles(tree: Tree, records: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    first, kept = divmod(tree.size, TILE_WIDTH)
    pending = [*(tree.bundle(first) if kept and records else ()), *records]
    for begin in range(0, len(pending), TILE_WIDTH):
        part = pending[begin : begin + TILE_WIDTH]
        yield entries_path(first + begin // TILE_WIDTH, width=len(part)), bundle_entries(part)
