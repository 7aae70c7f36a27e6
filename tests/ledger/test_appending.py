"""What the sealer appends is there, provable, and laid out as C2SP tlog-tiles says."""

import fcntl
import hashlib
import os
from pathlib import Path

import pytest

from lucid_sessions.archive import (
    EMPTY_ROOT,
    LogKey,
    leaf_hash,
    merkle_root,
    open_checkpoint,
    verify_consistency,
)
from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.ledger import Log
from tests.ledger.logs import KEY, reader, records, sealer


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_an_empty_log_has_no_checkpoint_and_no_records(tmp_path: Path) -> None:
    log = reader(tmp_path)
    assert (log.size, log.checkpoint(), log.checkpoint_text()) == (0, None, None)
    assert log.origin == "lucid.example/sessions-log"
    assert log.consistency_proof(0) == []
    for ask in (log.record, log.inclusion_proof):
        with pytest.raises(Refused):
            ask(0)
    assert not (tmp_path / "ledger").exists()


def test_extending_by_nothing_signs_the_empty_log(tmp_path: Path) -> None:
    assert sealer(tmp_path).extend([]).root == EMPTY_ROOT
    assert reader(tmp_path).checkpoint() == sealer(tmp_path).extend([])


@pytest.mark.parametrize("steps", [[1], [3, 4], [255, 256, 257], [256], [1, 600], [100, 200, 300, 513]])
def test_records_come_back_at_their_index_and_the_root_is_that_of_rfc_6962(
    tmp_path: Path, steps: list[int]
) -> None:
    log, size = sealer(tmp_path), 0
    for step in steps:
        checkpoint = log.extend(records(size, step))
        size = step
        assert checkpoint.size == reader(tmp_path).size == size
        assert checkpoint.root == merkle_root(list(map(leaf_hash, records(0, size))))
        assert reader(tmp_path).checkpoint() == checkpoint
    tree = reader(tmp_path).tree()
    assert [tree.record(index) for index in range(size)] == records(0, size)


def test_the_files_are_where_c2sp_wants_them(tmp_path: Path) -> None:
    log, root = sealer(tmp_path), tmp_path / "ledger"
    log.extend(records(0, 5))
    log.extend(records(5, 300))
    assert _names(root) == [".sealer.lock", "checkpoint", "tile"]
    assert _names(root / "tile") == ["0", "1", "entries"]
    assert _names(root / "tile" / "0") == _names(root / "tile" / "entries") == ["000", "001.p"]
    assert _names(root / "tile" / "0" / "001.p") == ["44"]
    assert (root / "tile" / "0" / "000").stat().st_size == 256 * 32
    assert (root / "tile" / "1" / "000.p" / "1").stat().st_size == 32
    first = records(0, 1)[0]
    assert (root / "tile" / "entries" / "000").read_bytes().startswith(len(first).to_bytes(2, "big") + first)
    assert (root / "checkpoint").read_bytes() == (tmp_path / "sealer" / "pin").read_bytes()
    text = reader(tmp_path).checkpoint_text()
    assert text is not None
    assert open_checkpoint(text, KEY.vkey).size == 300


def test_partial_tiles_stay_until_the_full_one_is_published(tmp_path: Path) -> None:
    log, tiles = sealer(tmp_path), tmp_path / "ledger" / "tile" / "0"
    log.extend(records(0, 200))
    log.extend(records(200, 255))
    old = log.tree()
    assert _names(tiles / "000.p") == ["200", "255"]
    log.extend(records(255, 256))
    assert _names(tiles) == ["000"]
    assert old.record(7) == records(7, 8)[0], "a reader with an older checkpoint falls back to the full tile"
    assert old.root(200) == merkle_root(list(map(leaf_hash, records(0, 200))))


def test_every_older_size_can_be_asked_about(tmp_path: Path) -> None:
    log = sealer(tmp_path)
    log.extend(records(0, 530))
    tree = log.tree()
    for size in (0, 1, 255, 256, 257, 511, 512, 513, 530):
        root = merkle_root(list(map(leaf_hash, records(0, size))))
        assert tree.root(size) == root
        verify_consistency(
            old_size=size,
            old_root=root,
            new_size=530,
            new_root=tree.checkpoint.root,
            proof=log.consistency_proof(size),
        )


def test_questions_about_what_is_not_there_are_refused(tmp_path: Path) -> None:
    log = sealer(tmp_path)
    log.extend(records(0, 3))
    for ask in (
        lambda: log.record(3),
        lambda: log.record(-1),
        lambda: log.inclusion_proof(2, 2),
        lambda: log.inclusion_proof(0, 4),
        lambda: log.consistency_proof(2, 4),
        lambda: log.consistency_proof(3, 2),
        lambda: log.consistency_proof(-1),
    ):
        with pytest.raises(Refused):
            ask()


def test_a_record_that_does_not_fit_a_bundle_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="65535"):
        sealer(tmp_path).extend([bytes(65_536)])
    assert not (tmp_path / "ledger" / "tile").exists()
    assert sealer(tmp_path).extend([bytes(65_535), b""]).size == 2
    assert reader(tmp_path).record(1) == b""


def test_only_a_log_with_the_right_key_and_a_pin_outside_it_can_be_extended(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="only the sealer"):
        reader(tmp_path).extend(records(0, 1))
    with pytest.raises(Refused, match="needs a pin"):
        Log(tmp_path, vkey=KEY.vkey, key=KEY)
    with pytest.raises(Refused, match="inside the ledger"):
        Log(tmp_path, vkey=KEY.vkey, key=KEY, pin=tmp_path / "pin")
    with pytest.raises(Refused, match="not the one"):
        Log(tmp_path, vkey=KEY.vkey, key=LogKey.generate("lucid.example/other"), pin=tmp_path / "pin")


@pytest.mark.parametrize("lock", ["ledger/.sealer.lock", "sealer/pin.lock"])
def test_two_sealers_never_work_at_the_same_time(tmp_path: Path, lock: str) -> None:
    log = sealer(tmp_path)
    log.extend(records(0, 1))
    with (tmp_path / lock).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Retryable, match="Another sealer"):
            log.extend(records(1, 2))
    assert log.extend(records(1, 2)).size == 2


def test_a_ledger_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"a file in the way")
    with pytest.raises(Retryable, match=f"{tmp_path}/ledger"):
        sealer(tmp_path).extend(records(0, 1))
    with pytest.raises(Retryable, match="A file stands where"):
        reader(tmp_path).write_body(b"body")


def test_a_body_is_found_by_its_hash_and_may_be_written_again(tmp_path: Path) -> None:
    log = sealer(tmp_path)
    name = log.write_body(b"leaves")
    assert name == log.write_body(b"leaves") == hashlib.sha256(b"leaves").hexdigest()
    assert reader(tmp_path).read_body(name) == b"leaves"
    assert os.listdir(tmp_path / "ledger" / "body" / name[:2]) == [name]  # noqa: PTH208
