"""A ledger that is not the one that was signed is refused: to readers, and to the sealer."""

import shutil
from pathlib import Path

import pytest

from lucid_sessions.archive import (
    Checkpoint,
    LogKey,
    bundle_entries,
    leaf_hash,
    merkle_root,
    sign_checkpoint,
    unbundle_entries,
)
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger import Log
from tests.ledger.logs import KEY, reader, records, sealer

SIZE = 300


@pytest.fixture
def place(tmp_path: Path) -> Path:
    sealer(tmp_path).extend(records(0, 10))
    shutil.copytree(tmp_path / "ledger", tmp_path / "older")
    sealer(tmp_path).extend(records(10, SIZE))
    return tmp_path


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _read_everything(log: Log) -> None:
    tree = log.tree()
    for index in range(tree.size):
        tree.record(index)
    tree.consistency_proof(10, tree.size)


@pytest.mark.parametrize("at", [0, 31, 32 * 7, -1])
@pytest.mark.parametrize("tile", ["0/000", "0/001.p/44", "1/000.p/1"])
def test_a_changed_tile_is_noticed_by_readers(place: Path, tile: str, at: int) -> None:
    path = place / "ledger" / "tile" / tile
    if not -path.stat().st_size <= at < path.stat().st_size:
        at = 0
    _flip(path, at)
    with pytest.raises(Tampered, match=str(place)):
        _read_everything(reader(place))


@pytest.mark.parametrize("tile", ["0/001.p/44", "1/000.p/1", "entries/001.p/44"])
def test_a_changed_tile_or_bundle_at_the_edge_stops_the_sealer(place: Path, tile: str) -> None:
    before = (place / "ledger" / "checkpoint").read_bytes()
    _flip(place / "ledger" / "tile" / tile, 5)
    with pytest.raises(Tampered):
        sealer(place).extend(records(SIZE, SIZE + 1))
    assert (place / "ledger" / "checkpoint").read_bytes() == (place / "sealer" / "pin").read_bytes() == before


@pytest.mark.parametrize(("index", "suffix"), [(0, ""), (1, ".p/44")])
def test_a_forged_record_with_a_forged_tile_to_match_is_noticed(place: Path, index: int, suffix: str) -> None:
    tile, bundle = (place / "ledger" / "tile" / kind / f"00{index}{suffix}" for kind in ("0", "entries"))
    stored = unbundle_entries(bundle.read_bytes())
    stored[3] = b"forged"
    bundle.write_bytes(bundle_entries(stored))
    tile.write_bytes(b"".join(map(leaf_hash, stored)))
    for number in (0, 3, 40):
        with pytest.raises(Tampered, match=str(place)):
            reader(place).record(256 * index + number)


def test_a_published_ledger_newer_than_its_pin_must_still_be_whole(place: Path) -> None:
    (place / "sealer" / "pin").write_bytes((place / "older" / "checkpoint").read_bytes())
    _flip(place / "ledger" / "tile" / "0" / "001.p" / "44", 5)
    _flip(place / "ledger" / "tile" / "entries" / "001.p" / "44", 5)
    with pytest.raises(Tampered, match="hash to"):
        sealer(place).extend([])


def test_every_flipped_bit_of_a_bundle_is_noticed(tmp_path: Path) -> None:
    sealer(tmp_path).extend(records(0, 3))
    path = tmp_path / "ledger" / "tile" / "entries" / "000.p" / "3"
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        forged = bytearray(whole)
        forged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(forged)
        with pytest.raises(Tampered):
            reader(tmp_path).record(1)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(Tampered):
            reader(tmp_path).record(1)
    path.write_bytes(whole)
    assert reader(tmp_path).record(1) == records(1, 2)[0]


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"])
def test_a_missing_or_shortened_file_is_noticed(place: Path, name: str) -> None:
    path = place / "ledger" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Tampered, match=str(place)):
        _read_everything(reader(place))
    path.unlink()
    with pytest.raises(Tampered, match="missing from"):
        _read_everything(reader(place))


def test_every_flipped_bit_of_the_checkpoint_is_noticed(place: Path) -> None:
    path = place / "ledger" / "checkpoint"
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        forged = bytearray(whole)
        forged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(forged)
        with pytest.raises(Tampered, match="checkpoint"):
            reader(place).checkpoint()
    for log in (reader(place), sealer(place)):
        with pytest.raises(Tampered):
            log.checkpoint_text()
        with pytest.raises(Tampered):
            log.record(0)


def test_a_checkpoint_by_another_key_is_not_believed(place: Path) -> None:
    root = merkle_root(list(map(leaf_hash, records(0, SIZE))))
    for key in (LogKey.generate(KEY.origin), LogKey.generate("lucid.example/other")):
        note = sign_checkpoint(Checkpoint(key.origin, SIZE, root), key)
        (place / "ledger" / "checkpoint").write_text(note)
        with pytest.raises(Tampered):
            reader(place).record(0)


def test_a_ledger_that_was_rolled_back_gets_no_second_history(place: Path) -> None:
    shutil.rmtree(place / "ledger")
    (place / "older").rename(place / "ledger")
    assert reader(place).size == 10
    for more in ([], records(10, 20), records(10, SIZE, kind="other"), records(10, SIZE + 9, kind="other")):
        with pytest.raises(Tampered, match="second history") as caught:
            sealer(place).extend(more)
        assert str(place / "sealer" / "pin") in str(caught.value)
        assert str(place / "ledger") in str(caught.value)
    assert reader(place).size == 10
    assert sealer(place).extend(records(10, SIZE)).size == SIZE, "the records that were signed repair it"
    _read_everything(reader(place))


def test_a_fork_that_the_key_signed_elsewhere_is_not_continued(place: Path) -> None:
    elsewhere = place / "elsewhere"
    sealer(elsewhere).extend(records(0, SIZE, kind="other"))
    shutil.rmtree(place / "ledger")
    (elsewhere / "ledger").rename(place / "ledger")
    _read_everything(reader(place))
    with pytest.raises(Tampered, match="second history"):
        sealer(place).extend(records(SIZE, SIZE + 1))


def test_a_changed_pin_stops_the_sealer(place: Path) -> None:
    _flip(place / "sealer" / "pin", 30)
    with pytest.raises(Tampered, match="sealer/pin"):
        sealer(place).extend(records(SIZE, SIZE + 1))


def test_a_lost_pin_stops_the_sealer_until_an_operator_adopts_the_ledger(place: Path) -> None:
    with pytest.raises(Refused, match="Nothing to adopt"):
        sealer(place).adopt()
    (place / "sealer" / "pin").unlink()
    with pytest.raises(Refused, match="pin is missing"):
        sealer(place).extend(records(SIZE, SIZE + 1))
    sealer(place).adopt()
    assert sealer(place).extend(records(SIZE, SIZE + 1)).size == SIZE + 1


def test_an_older_pin_is_brought_up_to_date(place: Path) -> None:
    (place / "sealer" / "pin").write_bytes((place / "older" / "checkpoint").read_bytes())
    sealer(place).extend([])
    assert (place / "sealer" / "pin").read_bytes() == (place / "ledger" / "checkpoint").read_bytes()


def test_a_ledger_that_is_not_mounted_is_waited_for(place: Path) -> None:
    (place / "ledger").rename(place / "away")
    with pytest.raises(Retryable, match="mount its disk"):
        sealer(place).extend(records(0, 1))


def test_a_changed_or_missing_body_is_noticed(place: Path) -> None:
    name = sealer(place).write_body(b"leaves")
    path = place / "ledger" / "body" / name[:2] / name
    _flip(path, 0)
    for act in (lambda: reader(place).read_body(name), lambda: sealer(place).write_body(b"leaves")):
        with pytest.raises(Tampered, match=name):
            act()
    path.unlink()
    with pytest.raises(Tampered, match="missing"):
        reader(place).read_body(name)
    for wrong in ("", "..", "../../sealer/pin", name.upper()):
        with pytest.raises(Refused):
            reader(place).read_body(wrong)
