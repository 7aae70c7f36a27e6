"""C2SP tlog-tiles: the log's hashes in tiles of height 8, and its entries in bundles.

`read_tile(level, index, width)` gives a tile's hashes, `width` of them; 256 is a full tile.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from lucid_sessions.archive.merkle import (
    ReadNode,
    consistency_of,
    inclusion_of,
    reader_of,
    root_of,
)
from lucid_sessions.errors import Refused, Tampered

ReadTile = Callable[[int, int, int], bytes]

TILE_WIDTH: Final = 256
_HEIGHT: Final = 8
_HASH: Final = 32
_MAX_ENTRY: Final = (1 << 16) - 1


@dataclass(frozen=True)
class Tile:
    """A tile to be stored: its level, index, width (1 to 256), and its hashes one after another."""

    level: int
    index: int
    width: int
    hashes: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """Where C2SP serves it, such as tile/0/x001/234.p/5."""
        return tile_path(self.level, self.index, width=self.width)


def tile_path(level: int, index: int, *, width: int = TILE_WIDTH) -> str:
    """The path of a tile relative to the log: tile/<level>/<index>[.p/<width>]."""
    return f"tile/{level}/{_indexed(index, width)}"


def entries_path(index: int, *, width: int = TILE_WIDTH) -> str:
    """The path of an entry bundle relative to the log: tile/entries/<index>[.p/<width>]."""
    return f"tile/entries/{_indexed(index, width)}"


def tile_width(level: int, index: int, *, size: int) -> int:
    """How many hashes this tile has in a tree of that size: 256 when full, 0 when it is not there."""
    return max(0, min(TILE_WIDTH, (size >> (_HEIGHT * level)) - index * TILE_WIDTH))


def tile_root(read_tile: ReadTile, size: int) -> bytes:
    """The root of the tree of that size."""
    return root_of(_reader(read_tile, size), size)


def tile_inclusion_proof(read_tile: ReadTile, index: int, *, size: int) -> list[bytes]:
    """The inclusion proof of entry `index` in the tree of that size."""
    return inclusion_of(_reader(read_tile, size), index, size=size)


def tile_consistency_proof(read_tile: ReadTile, old: int, new: int) -> list[bytes]:
    """The consistency proof between the trees of the sizes `old` and `new`."""
    return consistency_of(_reader(read_tile, new), old, new)


def new_tiles(old_size: int, leaves: Sequence[bytes], *, read_tile: ReadTile) -> Iterator[Tile]:
    """Every tile that is new or wider once these leaf hashes follow the first `old_size`.

    `read_tile` is asked only for the partial tiles at the old right edge. Write all of them before
    signing the new size.
    """
    level, fresh = 0, list(leaves)
    while fresh:
        begin = old_size >> (_HEIGHT * level)
        grown = list(_grow(level, begin, fresh=fresh, read_tile=read_tile))
        yield from grown
        fresh = [_tile_hash(tile.hashes) for tile in grown if tile.width == TILE_WIDTH]
        level += 1


def bundle_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: up to 256 entries, each after its length in 2 bytes."""
    if len(entries) > TILE_WIDTH or any(len(entry) > _MAX_ENTRY for entry in entries):
        raise Refused(f"a bundle holds at most {TILE_WIDTH} entries of at most {_MAX_ENTRY} bytes")
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unbundle_entries(bundle: bytes) -> list[bytes]:
    """The entries of a bundle; Tampered if it does not end where an entry ends."""
    entries, at = [], 0
    while at < len(bundle):
        begin = at + 2
        at = begin + int.from_bytes(bundle[at:begin], "big")
        if begin > len(bundle) or at > len(bundle):
            raise Tampered("the entry bundle is cut short")
        entries.append(bundle[begin:at])
    if len(entries) > TILE_WIDTH:
        raise Tampered(f"the entry bundle holds {len(entries)} entries, more than {TILE_WIDTH}")
    return entries


def _grow(level: int, begin: int, *, fresh: Sequence[bytes], read_tile: ReadTile) -> Iterator[Tile]:
    index, width = divmod(begin, TILE_WIDTH)
    hashes = _checked(read_tile(level, index, width), width) if width else b""
    hashes += b"".join(fresh)
    for at in range(0, len(hashes), TILE_WIDTH * _HASH):
        part = hashes[at : at + TILE_WIDTH * _HASH]
        yield Tile(level, index, len(part) // _HASH, part)
        index += 1


def _reader(read_tile: ReadTile, size: int) -> ReadNode:
    """Complete subtrees out of tiles; each tile is read and hashed once."""
    known: dict[tuple[int, int], ReadNode] = {}

    def read(level: int, index: int) -> bytes:
        above, within = divmod(level, _HEIGHT)
        tile, first = divmod(index << within, TILE_WIDTH)
        if (above, tile) not in known:
            width = tile_width(above, tile, size=size)
            known[above, tile] = reader_of(_hashes(_checked(read_tile(above, tile, width), width)))
        return known[above, tile](within, first >> within)

    return read


def _checked(hashes: bytes, width: int) -> bytes:
    if len(hashes) != width * _HASH:
        raise Tampered(f"a tile of width {width} is {width * _HASH} bytes, not {len(hashes)}")
    return hashes


def _hashes(tile: bytes) -> list[bytes]:
    return [tile[at : at + _HASH] for at in range(0, len(tile), _HASH)]


def _tile_hash(tile: bytes) -> bytes:
    return reader_of(_hashes(tile))(_HEIGHT, 0)


def _indexed(index: int, width: int) -> str:
    """The index in groups of three digits, all but the last marked with x, so that directories stay small."""
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise Refused(f"there is no tile {index} of width {width}")
    digits = f"{index:d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
