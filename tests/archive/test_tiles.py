import pytest

from lucid_sessions.archive import (
    Tile,
    bundle_entries,
    consistency_proof,
    entries_path,
    inclusion_proof,
    leaf_hash,
    merkle_root,
    new_tiles,
    tile_consistency_proof,
    tile_inclusion_proof,
    tile_path,
    tile_root,
    tile_width,
    unbundle_entries,
)
from lucid_sessions.errors import Refused
from tests.archive.parts import is_tampered

LEAVES = [leaf_hash(b"%d" % number) for number in range(66_000)]


class Shelf:
    """Tiles in memory, by level, index and width; only what a log of this history has written."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int, int], Tile] = {}
        self.size = 0

    def read(self, level: int, index: int, width: int) -> bytes:
        return self.tiles[level, index, width].hashes

    def grow(self, to: int) -> list[Tile]:
        fresh = list(new_tiles(self.size, LEAVES[self.size : to], read_tile=self.read))
        self.tiles |= {(tile.level, tile.index, tile.width): tile for tile in fresh}
        self.size = to
        return fresh


@pytest.mark.parametrize(
    "sizes", [[1, 2, 3], [255, 256, 257], [300, 511, 512, 513, 1000], [65_535, 65_536, 66_000]]
)
def test_tiles_give_the_same_roots_and_proofs_as_the_leaves(sizes: list[int]) -> None:
    shelf = Shelf()
    for size in sizes:
        shelf.grow(size)
        leaves = LEAVES[:size]
        assert tile_root(shelf.read, size) == merkle_root(leaves)
        for index in {0, size // 3, size - 1, max(0, size - 257)}:
            assert tile_inclusion_proof(shelf.read, index, size=size) == inclusion_proof(leaves, index)
        for old in {1, size // 2, size - 1, size, *(one for one in sizes if one < size)}:
            assert tile_consistency_proof(shelf.read, old, size) == consistency_proof(leaves, old, size)


def test_a_log_that_grows_one_by_one_ends_with_the_tiles_of_one_that_grew_at_once() -> None:
    slow, fast = Shelf(), Shelf()
    for size in range(1, 600):
        slow.grow(size)
    fast.grow(599)
    assert {key: slow.tiles[key] for key in fast.tiles} == fast.tiles


def test_writing_the_same_leaves_again_gives_the_same_tiles() -> None:
    shelf = Shelf()
    shelf.grow(500)
    first = list(new_tiles(500, LEAVES[500:800], read_tile=shelf.read))
    assert list(new_tiles(500, LEAVES[500:800], read_tile=shelf.read)) == first


def test_only_tiles_that_changed_are_new() -> None:
    shelf = Shelf()
    shelf.grow(300)
    assert [tile.path for tile in shelf.grow(301)] == ["tile/0/001.p/45"]
    paths = ["tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2"]
    assert [tile.path for tile in shelf.grow(513)] == paths
    assert shelf.grow(513) == []


def test_an_old_size_is_still_proved_from_its_own_partial_tiles() -> None:
    shelf = Shelf()
    for size in (100, 300, 700):
        shelf.grow(size)
    assert tile_root(shelf.read, 300) == merkle_root(LEAVES[:300])


def test_the_empty_log_has_the_root_of_nothing() -> None:
    assert tile_root(Shelf().read, 0) == merkle_root([])


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "000"),
        (999, "999"),
        (1000, "x001/000"),
        (1_234_067, "x001/x234/067"),
        (10**9, "x001/x000/x000/000"),
    ],
)
def test_paths_are_those_of_c2sp(index: int, path: str) -> None:
    assert tile_path(3, index) == f"tile/3/{path}"
    assert tile_path(0, index, width=5) == f"tile/0/{path}.p/5"
    assert entries_path(index) == f"tile/entries/{path}"
    assert entries_path(index, width=255) == f"tile/entries/{path}.p/255"


@pytest.mark.parametrize(("index", "width"), [(-1, 256), (0, 0), (0, 257)])
def test_a_path_of_no_tile_is_refused(index: int, width: int) -> None:
    with pytest.raises(Refused):
        tile_path(0, index, width=width)


def test_a_tiles_width_follows_from_the_size() -> None:
    assert [tile_width(0, index, size=600) for index in range(4)] == [256, 256, 88, 0]
    assert [tile_width(1, 0, size=size) for size in (255, 256, 600, 65_536)] == [0, 1, 2, 256]


def test_a_tile_cut_short_or_too_long_is_caught() -> None:
    shelf = Shelf()
    shelf.grow(300)
    for change in (
        lambda tile: tile[:-1],
        lambda tile: tile[:-32],
        lambda tile: tile + bytes(32),
        lambda _: b"",
    ):
        bad = lambda *where, c=change: c(shelf.read(*where))  # noqa: E731
        assert is_tampered(lambda b=bad: tile_inclusion_proof(b, 5, size=300))
        assert is_tampered(lambda b=bad: list(new_tiles(300, LEAVES[300:301], read_tile=b)))


def test_entries_come_back_from_their_bundle() -> None:
    entries = [b"", b"x", b"y" * 65_535, *[b"%d" % number for number in range(253)]]
    assert unbundle_entries(bundle_entries(entries)) == entries
    assert unbundle_entries(b"") == []


def test_a_bundle_cut_anywhere_but_after_an_entry_is_caught() -> None:
    bundle = bundle_entries([b"first", b"second"])
    whole = {0, 7, len(bundle)}
    cuts = {cut for cut in range(len(bundle) + 1) if is_tampered(lambda n=cut: unbundle_entries(bundle[:n]))}
    assert cuts == set(range(len(bundle) + 1)) - whole
    assert is_tampered(lambda: unbundle_entries(bytes(2 * 257)))


@pytest.mark.parametrize("entries", [[b"x" * 65_536], [b""] * 257], ids=["too long", "too many"])
def test_entries_that_fit_no_bundle_are_refused(entries: list[bytes]) -> None:
    with pytest.raises(Refused):
        bundle_entries(entries)
