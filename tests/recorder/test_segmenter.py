"""Pictures become segments that decode alone, follow each other exactly, and show what was drawn."""

import struct
import threading
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import av
import numpy as np
import pytest

from recorder.clock import TICKS, Timeline, ticks_of, us_of
from recorder.errors import Unreadable
from recorder.export import split_init, write_mp4
from recorder.names import SegmentName
from recorder.probe import probe
from recorder.screen import AHEAD, Segmenter, Shown
from recorder.settings import Settings
from recorder.sources.desktop import Desktop, clock_text
from recorder.spool import Spool
from recorder.take import Take

from .stage import WHOLE, assert_gapless, packet_hashes, pictures, segments

START = 1_234_567


class Recorded:
    """Pictures pushed at odd times, as a damage-driven source does."""

    def __init__(self, root: Path, *, settings: Settings, session: UUID = WHOLE) -> None:
        self.spool = Spool(root)
        self.take = Take(self.spool, session, take=1)
        self.take.begin(Timeline.starting_now(), host="here")
        self.segmenter = Segmenter(self.take, settings)
        self.times: list[int] = []

    def push(self, picture: Any, at_us: int) -> None:
        if self.segmenter.push(picture, at_us):
            self.times.append(at_us)

    def names(self) -> list[SegmentName]:
        return [name for _, name in segments(self.spool, self.take.directory)]

    def paths(self) -> list[Path]:
        return [path for path, _ in segments(self.spool, self.take.directory)]


def test_while_it_is_quiet_a_segment_lasts_longer_and_what_happens_then_begins_a_new_one(
    tmp_path: Path,
) -> None:
    settings = Settings(quality="low", segment_seconds=1, quiet_segment_seconds=6)
    recorded, picture = Recorded(tmp_path, settings=settings), np.zeros((90, 120, 4), dtype=np.uint8)
    times = [number * 500_000 for number in range(33)]
    for at_us in times:
        recorded.segmenter.push(picture, at_us, shown=Shown(quiet=at_us < 10_700_000))
    recorded.segmenter.close(16_500_000)
    names = recorded.names()
    assert_gapless(names)
    # The first as ever; six seconds at most, then four until something happened, and from there on as ever.
    starts = [name.start_us for name in names]
    assert starts == [0, 1_000_000, 7_000_000, *range(11_000_000, 17_000_000, 1_000_000)]


def test_sessions_that_begin_together_are_cut_at_other_moments(tmp_path: Path) -> None:
    settings, picture = Settings(quality="low", segment_seconds=4), np.zeros((32, 32, 4), dtype=np.uint8)
    firsts, rng = [], Random(7)
    for number in range(20):
        session = UUID(int=rng.getrandbits(128), version=4)
        recorded = Recorded(tmp_path / str(number), settings=settings, session=session)
        for at_us in range(0, 13_000_000, 50_000):
            recorded.push(picture, at_us)
        recorded.segmenter.close(13_000_000)
        starts = [name.start_us for name in recorded.names()]
        assert_gapless(recorded.names())
        assert {after - before for before, after in pairwise(starts[1:])} == {4_000_000}
        firsts.append(starts[1])
    assert all(500_000 <= first <= 4_050_000 for first in firsts)
    assert max(Counter(firsts).values()) <= 2


def test_a_session_is_cut_alike_in_each_epoch(tmp_path: Path) -> None:
    settings, picture = Settings(quality="low", segment_seconds=4), np.zeros((32, 32, 4), dtype=np.uint8)
    recorded = Recorded(tmp_path, settings=settings, session=UUID(int=90_000))
    for at_us in range(0, 6_000_000, 100_000):
        recorded.push(picture, at_us)
    for at_us in range(6_000_000, 12_000_000, 100_000):
        recorded.push(picture[:16], at_us)
    recorded.segmenter.close(12_000_000)
    lasted = [(name.epoch, name.end_us - name.start_us) for name in recorded.names()]
    assert lasted == [(1, 3_000_000), (1, 3_000_000), (2, 3_000_000), (2, 3_000_000)]


def record(root: Path, *, quality: Any = "low", frames: int = 100) -> Recorded:
    recorded = Recorded(root, settings=Settings(quality=quality, segment_seconds=1))
    rng, at_us = np.random.default_rng(3), START
    picture = rng.integers(0, 255, (90, 120, 4), dtype=np.uint8)
    for number in range(frames):
        picture[20:40, 20:60] = number
        recorded.push(picture, at_us)
        at_us += int(rng.integers(1_000, 90_000))
    recorded.segmenter.close(at_us)
    return recorded


@pytest.mark.parametrize("quality", ["low", "ultra"])
def test_what_waits_for_the_encoder_is_shown_as_it_was(tmp_path: Path, quality: Any) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality=quality, segment_seconds=60))
    picture, free = np.zeros((96, 128, 4), dtype=np.uint8), threading.Event()
    recorded.push(picture, START)
    recorded.segmenter._encoding.settle()
    recorded.segmenter._encoding.do(free.wait)
    for number in range(1, AHEAD):  # each is another row of the same picture, changed where it is
        rows = 12 * number, 12 * number + 12
        picture[slice(*rows)] = 255
        recorded.segmenter.push(picture, START + number * 33_000, shown=Shown(rows))
    free.set()
    recorded.segmenter.close(START + 1_000_000)
    with av.open(str(recorded.paths()[0])) as container:
        shown = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    lit = [int((one[5::12].mean(axis=1) > 128).sum()) for one in shown]
    assert lit == list(range(AHEAD))


@pytest.mark.parametrize("quality", ["low", "medium", "high", "ultra"])
def test_each_segment_ends_exactly_where_the_next_begins(tmp_path: Path, quality: str) -> None:
    recorded = record(tmp_path, quality=quality)
    names = recorded.names()
    assert len(names) > 3
    assert_gapless(names)
    assert ticks_of(names[0].start_us) == ticks_of(START)
    assert sum(probe(path).frames for path in recorded.paths()) == len(recorded.times)


def test_every_frame_keeps_its_time_in_the_export(tmp_path: Path) -> None:
    recorded = record(tmp_path)
    parts = [path.read_bytes() for path in recorded.paths()]
    exported = write_mp4(tmp_path / "out.mp4", parts)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = [packet.pts for packet in packets]
        assert stream.time_base == Fraction(1, TICKS)
    begin = ticks_of(START)
    assert times == [ticks_of(at) - begin for at in recorded.times]
    end = ticks_of(recorded.names()[-1].end_us)
    assert packets[-1].duration == end - ticks_of(recorded.times[-1])
    assert exported.duration_us == us_of(end - begin)


def test_the_export_holds_the_very_packets_of_the_segments(tmp_path: Path) -> None:
    recorded = record(tmp_path)
    write_mp4(tmp_path / "out.mp4", (path.read_bytes() for path in recorded.paths()))
    in_segments = [packet for path in recorded.paths() for packet in packet_hashes(path)]
    assert packet_hashes(tmp_path / "out.mp4") == in_segments
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_another_size_begins_another_epoch_without_a_hole(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality="low"))
    for number in range(20):
        side = 64 if number < 10 else 96
        recorded.push(np.full((side, side, 4), number, dtype=np.uint8), number * 40_000)
    recorded.segmenter.close(800_000)
    first, second = recorded.names()
    assert (first.epoch, second.epoch) == (1, 2)
    assert first.end_us == second.start_us
    assert [probe(path).width for path in recorded.paths()] == [64, 96]


def test_segments_of_two_epochs_do_not_go_into_one_file(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality="low"))
    for number, side in enumerate((64, 96)):
        recorded.push(np.zeros((side, side, 4), dtype=np.uint8), number * 40_000)
    recorded.segmenter.close(80_000)
    with pytest.raises(Unreadable, match="several epochs"):
        write_mp4(tmp_path / "out.mp4", (path.read_bytes() for path in recorded.paths()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["takes"]


def test_ultra_loses_not_one_bit_of_the_screen(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality="ultra"))
    drawn = [np.random.default_rng(n).integers(0, 255, (37, 53, 4), dtype=np.uint8) for n in range(5)]
    for number, picture in enumerate(drawn):
        recorded.push(picture, number * 100_000)
    recorded.segmenter.close(500_000)
    for picture, seen in zip(drawn, pictures(recorded.paths()[0]), strict=True):
        assert np.array_equal(picture[..., :3], seen)


@pytest.mark.parametrize(("quality", "told"), [("high", (1, 1, 6, False)), ("ultra", (1, 13, 0, True))])
def test_segments_and_exports_say_what_their_colours_mean(
    quality: str, told: tuple[int, ...], tmp_path: Path
) -> None:
    paths = record(tmp_path, quality=quality, frames=5).paths()
    exported = tmp_path / "out.mp4"
    write_mp4(exported, (path.read_bytes() for path in paths))
    for path in (paths[0], exported):
        _, _, box = path.read_bytes().partition(b"colrnclx")
        # ISO/IEC 14496-12, 12.1.5: primaries, transfer, matrix (0: no luma), and whether all values are used.
        assert (*struct.unpack_from(">HHH", box), bool(box[6] & 0x80)) == told


def test_a_picture_with_odd_sides_loses_only_its_last_line(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality="high"))
    recorded.push(np.zeros((91, 121, 4), dtype=np.uint8), 0)
    recorded.segmenter.close(100_000)
    facts = probe(recorded.paths()[0])
    assert (facts.width, facts.height) == (120, 90)


@pytest.mark.parametrize(("quality", "thinnest"), [("high", 2), ("ultra", 1)])
def test_a_picture_that_is_a_line_or_a_dot_is_kept_and_so_are_those_after_it(
    quality: Any, thinnest: int, tmp_path: Path
) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality=quality, segment_seconds=1))
    for second, size in enumerate([(80, 100), (1, 1), (1, 200), (150, 1), (80, 100)]):
        recorded.push(np.full((*size, 4), 40 * (second + 1), dtype=np.uint8), second * 1_000_000)
        recorded.push(np.full((*size, 4), 200 - 40 * second, dtype=np.uint8), second * 1_000_000 + 500_000)
    recorded.segmenter.close(5_000_000)
    shown = [pictures(path) for path in recorded.paths()]
    small = [(thinnest, thinnest), (thinnest, 200), (150, thinnest)]
    assert [one[-1].shape[:2] for one in shown] == [(80, 100), *small, (80, 100)]
    for second, one in enumerate(shown):
        assert np.abs(one[-1].astype(int) - (200 - 40 * second)).max() < 8
    assert [name.start_us for name in recorded.names()] == [second * 1_000_000 for second in range(5)]
    assert recorded.names()[-1].end_us == 5_000_000


def test_a_still_screen_asks_for_about_one_frame_a_second(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality="low"))
    picture = np.zeros((32, 32, 4), dtype=np.uint8)
    recorded.push(picture, 0)
    # Two more come soon, finer than the first; the first of them also ends the segment before.
    assert recorded.segmenter.due_in(20_000) == pytest.approx(0.08)
    for at_us in (60_000, 100_000):
        recorded.segmenter.push(picture, at_us, shown=Shown(changed=False))
    assert recorded.segmenter.due_in(350_000) == pytest.approx(0.85)
    assert recorded.segmenter.due_in(1_200_000) == 0
    recorded.segmenter.push(picture, 1_200_000, shown=Shown(rows=(3, 5)))
    assert recorded.segmenter.due_in(1_250_000) == pytest.approx(1.05)  # a small change
    recorded.segmenter.push(picture, 1_400_000, shown=Shown(rows=(3, 30)))
    assert recorded.segmenter.due_in(1_450_000) == pytest.approx(0.05)
    recorded.segmenter.close(1_500_000)


def test_where_much_has_changed_it_asks_for_finer_pictures_once_it_rests(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality="high"))
    picture = np.random.default_rng(3).integers(0, 255, (64, 64, 1), dtype=np.uint8).repeat(4, axis=2)
    recorded.push(picture, 0)
    recorded.segmenter.push(picture, 100_000, shown=Shown(share=0.3))
    recorded.segmenter.push(picture, 150_000, shown=Shown(rows=(3, 5)))  # a small change takes none away
    at_us, waits = 150_000, []
    while (due := recorded.segmenter.due_in(at_us)) < 0.5:
        waits.append(round(due, 3))
        at_us += round(due * 1_000_000)
        recorded.segmenter.push(picture, at_us, shown=Shown(changed=False))
    assert waits == [0.1, *[0.04] * 7]
    recorded.segmenter.close(at_us + 50_000)
    seen = [one.astype(int) - picture[..., :3] for one in pictures(recorded.paths()[0])[2:]]
    errors = [float(np.abs(one).mean()) for one in seen]
    assert errors[-1] < errors[0]


def test_a_frame_that_is_not_later_is_left_out(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality="low"))
    picture = np.zeros((32, 32, 4), dtype=np.uint8)
    assert recorded.segmenter.push(picture, 100)
    assert not recorded.segmenter.push(picture, 100)
    recorded.segmenter.close(10_000)


def test_the_recording_shows_the_clock_that_was_drawn(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, settings=Settings(quality="ultra"))
    for number in range(3):
        at_us = 3_661_250_000 + number * 100_000
        recorded.push(Desktop(640, 360).draw(at_us, frame=number), at_us)
    recorded.segmenter.close(3_661_600_000)
    assert clock_text(3_661_250_000) == "01:01:01.2"
    seen = pictures(recorded.paths()[0])[-1]
    assert not np.array_equal(seen, Desktop(640, 360).draw(3_661_399_000, frame=2)[..., :3])
    assert np.array_equal(seen, Desktop(640, 360).draw(3_661_450_000, frame=2)[..., :3])


def test_names_and_ticks_convert_back_and_forth_exactly() -> None:
    for ticks in (*range(2_000), 324_000_000_001):
        assert ticks_of(us_of(ticks)) == ticks


def test_every_segment_has_an_initialisation_of_its_own(tmp_path: Path) -> None:
    recorded = record(tmp_path)
    inits = {split_init(path.read_bytes())[0] for path in recorded.paths()}
    assert len(inits) == 1


@pytest.mark.parametrize("damage", ["empty", "text", "half", "no init", "flipped sample table"])
def test_a_damaged_segment_is_unreadable(tmp_path: Path, damage: str) -> None:
    whole = record(tmp_path).paths()[0].read_bytes()
    init, media = split_init(whole)
    broken = {
        "empty": b"",
        "text": b"this is no video" * 100,
        "half": init + media[:40],
        "no init": media,
        "flipped sample table": init + media.replace(b"trun", b"tram", 1),
    }[damage]
    with pytest.raises(Unreadable):
        probe(broken)


def test_an_export_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(Unreadable):
        write_mp4(tmp_path / "there" / "out.mp4", [b"no segment at all"])
    with pytest.raises(Unreadable, match="nothing to export"):
        write_mp4(tmp_path / "there" / "out.mp4", [])
    assert list((tmp_path / "there").iterdir()) == []
