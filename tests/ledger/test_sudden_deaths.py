"""The sealer may die between any two of its writes: no record twice, none missing, old checkpoints hold."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lucid_sessions.archive import Checkpoint, leaf_hash, merkle_root, verify_consistency
from lucid_sessions.errors import Tampered
from tests.blobs.deaths import die_at_step
from tests.ledger.logs import reader, records, sealer

# The old and the new size: the first records, within a tile, across its end, exactly to it, over two tiles.
GROWTHS = [(0, 3), (3, 5), (250, 260), (250, 256), (256, 257), (200, 600)]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is room: these deaths are kills, and hundreds of durable writes cost nothing."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("LUCID_TEST_DATABASES")) as folder:
        yield Path(folder)


def _deaths(place: Path, begin: int, act: Callable[[Path], object]) -> list[Path]:
    """A log of `begin` records for every step of `act`, at which its sealer was killed."""
    killed: list[Path] = []
    if begin:
        sealer(place / "begun").extend(records(0, begin))
    while True:
        here = place / str(len(killed))
        if begin:
            shutil.copytree(place / "begun", here)
        if not die_at_step(len(killed) + 1, lambda at=here: act(at), below=here):
            return killed
        killed.append(here)


def _assert_sound(place: Path, size: int, *, olds: list[Checkpoint]) -> None:
    tree = reader(place).tree()
    assert tree.size == size
    assert tree.checkpoint.root == merkle_root(list(map(leaf_hash, records(0, size))))
    assert [tree.record(index) for index in range(size)] == records(0, size)
    for old in olds:
        verify_consistency(
            old_size=old.size,
            old_root=old.root,
            new_size=tree.size,
            new_root=tree.checkpoint.root,
            proof=tree.consistency_proof(old.size, tree.size),
        )


@pytest.mark.parametrize(("begin", "end"), GROWTHS)
def test_the_same_call_again_finishes_what_a_killed_sealer_began(
    tmp_path: Path, begin: int, end: int
) -> None:
    killed = _deaths(tmp_path, begin, lambda at: sealer(at).extend(records(begin, end)))
    assert len(killed) >= 12, "the sealer does more than this in one append"
    sizes = set()
    for place in killed:
        found = reader(place).checkpoint()
        size = found.size if found else 0
        sizes.add(size)
        sealer(place).extend(records(size, end))
        sealer(place).extend(records(end, end + 2))
        _assert_sound(place, end + 2, olds=[found] if found else [])
    assert sizes == {begin, end}, "nothing in between is ever published"


def test_more_records_than_before_finish_it_too(tmp_path: Path) -> None:
    for place in _deaths(tmp_path, 4, lambda at: sealer(at).extend(records(4, 6))):
        size = reader(place).size
        olds = [found] if (found := reader(place).checkpoint()) else []
        sealer(place).extend(records(size, 300))
        _assert_sound(place, 300, olds=olds)


def test_other_records_are_taken_only_if_the_first_were_never_signed(tmp_path: Path) -> None:
    outcomes = set()
    for place in _deaths(tmp_path, 4, lambda at: sealer(at).extend(records(4, 6))):
        log, pin = sealer(place), place / "sealer" / "pin"
        if log.size == 6:
            continue
        signed = pin.read_bytes() != (place / "ledger" / "checkpoint").read_bytes()
        outcomes.add(signed)
        if signed:
            with pytest.raises(Tampered, match="second history"):
                log.extend(records(4, 6, kind="other"))
            log.extend(records(4, 6))
            _assert_sound(place, 6, olds=[])
        else:
            log.extend(records(4, 6, kind="other"))
            assert reader(place).record(5) == records(5, 6, kind="other")[0]
    assert outcomes == {True, False}


def test_a_killed_body_writer_leaves_a_body_or_none(tmp_path: Path) -> None:
    for place in _deaths(tmp_path, 0, lambda at: sealer(at).write_body(b"leaves" * 99)):
        name = sealer(place).write_body(b"leaves" * 99)
        assert reader(place).read_body(name) == b"leaves" * 99
