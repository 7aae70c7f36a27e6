"""The spool keeps what it was given, under names that say everything."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest

from recorder.errors import SpoolUnwritable, Unreadable
from recorder.spool import ClosedMarker, GapMarker, SegmentName, Spool, sequence_of

SESSION = UUID("00112233-4455-6677-8899-aabbccddeeff")
NAME = SegmentName(SESSION, "screen", sequence_of(3, 41), 2, 160_000_011, 164_000_022, 1_800_000_000_123)


def test_a_segment_name_reads_back_as_it_was_written() -> None:
    assert NAME.filename == (
        "00112233445566778899aabbccddeeff_screen_0000000300000029_2_160000011_164000022_1800000000123.mp4"
    )
    assert SegmentName.parse(NAME.filename) == NAME
    assert (NAME.take, NAME.counter) == (3, 41)


def test_a_name_in_progress_lacks_only_its_end() -> None:
    part = SegmentName.parse_part(NAME.part_filename)
    assert (part.sequence, part.start_us, part.end_us) == (NAME.sequence, NAME.start_us, NAME.start_us)


@pytest.mark.parametrize(
    "name", ["", "x.mp4", NAME.filename + ".part", NAME.filename.upper(), "../" + NAME.filename]
)
def test_other_names_are_no_segments(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a segment"):
        SegmentName.parse(name)


def test_a_committed_part_is_a_segment_and_a_part_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    directory = spool.make_take(SESSION, 3)
    part = directory / NAME.part_filename
    part.write_bytes(b"bytes")
    assert list(spool.segments(directory)) == []
    committed = spool.commit(part, NAME)
    assert list(spool.segments()) == [(committed, NAME)]
    assert committed.read_bytes() == b"bytes"
    assert not part.exists()


def test_segments_come_in_the_order_they_were_recorded(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    directory = spool.make_take(SESSION, 1)
    names = [SegmentName(SESSION, "screen", sequence_of(1, n), 1, n * 10, n * 10 + 10, 5) for n in (2, 10, 1)]
    for name in names:
        (directory / name.filename).write_bytes(b"x")
    assert [name.counter for _, name in spool.segments(directory)] == [1, 2, 10]


def test_the_identity_stays(tmp_path: Path) -> None:
    identity = Spool(tmp_path).identity
    assert len(bytes.fromhex(identity)) == 4
    assert Spool(tmp_path).identity == identity


def test_markers_read_back_as_they_were_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    gap = GapMarker(SESSION, "screen", 1, 1, 10, 20, "paused", uncertain=True)
    closed = ClosedMarker(SESSION, "screen", 1, 7, 20, "stopped")
    spool.write_gap(gap)
    spool.write_closed(closed)
    directory = spool.take_directory(SESSION, 1)
    assert spool.gaps(directory) == [gap]
    assert spool.closed(directory) == {"screen": closed}


def test_markers_that_are_acknowledged_while_they_are_looked_for_are_found(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.set_mirrored(True)
    tracks = [f"track-{number}" for number in range(200)]
    for track in tracks:
        spool.write_gap(GapMarker(SESSION, track, 1, 1, 10, 20, "paused"))
        spool.write_closed(ClosedMarker(SESSION, track, 1, 7, 20, "stopped"))
    directory = spool.take_directory(SESSION, 1)
    _, held = spool.held(directory)
    with ThreadPoolExecutor(1) as copying:
        copied = copying.submit(lambda: [spool.acknowledge(path) for path in held])
        while not copied.done():
            assert [gap.track for gap in spool.gaps(directory)] == sorted(tracks)
            assert sorted(spool.closed(directory)) == sorted(tracks)
    assert len(copied.result()) == 2 * len(tracks)


def test_a_damaged_marker_is_named(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (spool.make_take(SESSION, 1) / "closed_screen.json").write_text("{}")
    with pytest.raises(Unreadable, match=r"closed_screen\.json"):
        spool.closed(spool.take_directory(SESSION, 1))


def test_takes_are_listed_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for take in (10, 2, 1):
        spool.make_take(SESSION, take)
    assert [take for _, take, _ in spool.takes()] == [1, 2, 10]


def test_the_reserve_takes_real_room_and_gives_it_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, reserve_bytes=1 << 20)
    assert spool.hold_reserve()
    assert spool.reserve_path.stat().st_blocks * 512 >= 1 << 20
    assert spool.release_reserve()
    assert not spool.release_reserve()
    # What is kept for markers is not for segments.
    assert spool.marker_reserve_path.stat().st_blocks * 512 >= 1 << 18
    assert spool.release_marker_reserve()
    assert not spool.release_marker_reserve()


def test_a_spool_that_cannot_be_made_says_where_and_what_to_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnwritable, match=r"file/spool.*Check its owner, mode and mount"):
        Spool(tmp_path / "file" / "spool")


def test_a_spool_is_private(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    assert spool.root.stat().st_mode & 0o077 == 0
