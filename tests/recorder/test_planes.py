"""Converting only the rows that changed gives the very picture that converting all of them gives."""

from pathlib import Path

import av
import numpy as np
import pytest

from recorder.planes import FLOW, NO_ROWS, Planes, joined
from recorder.quality import BT601
from recorder.sources.x11 import X11Source
from tests.waiting import until

from .displays import display, program

WHOLE = {
    "format": "yuv420p",
    "dst_colorspace": "ITU601",
    "dst_color_range": "MPEG",
    "interpolation": "AREA",
}


def content(frame: av.VideoFrame) -> list[bytes]:
    found = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        found.append(rows[: plane.height, : plane.width].tobytes())
    return found


@pytest.mark.parametrize("size", [(160, 96), (322, 250), (64, 16)])
def test_changed_rows_alone_make_the_same_picture(size: tuple[int, int]) -> None:
    width, height = size
    chance = np.random.default_rng(11)
    picture = chance.integers(0, 256, (height, width, 4), dtype=np.uint8)
    planes = Planes(width, height)
    for _ in range(60):
        first, last = sorted(int(at) for at in chance.integers(0, height + 1, 2))
        picture[first:last] = chance.integers(0, 256, (last - first, width, 4), dtype=np.uint8)
        planes.note((first, last))
        whole = av.VideoFrame.from_numpy_buffer(picture, "bgra").reformat(**WHOLE)
        assert content(planes.of(picture)) == content(whole)


def test_a_picture_that_was_left_stays_as_it_was() -> None:
    picture = np.random.default_rng(5).integers(0, 256, (90, 122, 4), dtype=np.uint8)
    planes = Planes(122, 90)
    left = planes.of(picture)
    before = content(left)
    planes.leave()
    picture[30:40] = 0
    planes.note((30, 40))
    whole = av.VideoFrame.from_numpy_buffer(picture, "bgra").reformat(**WHOLE)
    assert content(planes.of(picture)) == content(whole)
    assert content(left) == before


def test_whole_pictures_in_a_row_are_what_each_alone_gives_and_stay_so() -> None:
    chance = np.random.default_rng(7)
    planes, held = Planes(122, 90), []
    for number in range(2 * FLOW + 3):
        picture = chance.integers(0, 256, (90, 122, 4), dtype=np.uint8)
        planes.note(None)
        whole = content(av.VideoFrame.from_numpy_buffer(picture, "bgra").reformat(**WHOLE))
        assert planes.is_renewed
        held.append((planes.of(picture), whole))
        if number == FLOW:  # at rest for once
            planes.note(NO_ROWS)
            assert content(planes.of(picture)) == whole
    assert all(content(frame) == whole for frame, whole in held)
    last, _ = held[-1]
    assert (last.colorspace, last.color_range) == (BT601[2], BT601[3])


def test_rows_noted_several_times_are_all_looked_at() -> None:
    picture = np.zeros((90, 120, 4), np.uint8)
    planes = Planes(120, 90)
    planes.of(picture)
    picture[10], picture[80] = 200, 100
    planes.note((10, 11))
    planes.note((80, 81))
    planes.note(NO_ROWS)
    whole = av.VideoFrame.from_numpy_buffer(picture, "bgra").reformat(**WHOLE)
    assert content(planes.of(picture)) == content(whole)
    assert joined((3, 5), NO_ROWS) == (3, 5)
    assert joined((3, 5), (1, 2)) == (1, 5)


def test_a_display_read_where_it_changed_is_the_display(tmp_path: Path) -> None:
    with display("-screen", "0", "640x400x24") as shown:
        source, seen = X11Source(shown.name, cursor=True), 0
        loop = "while :; do date +%N; sleep 0.05; done"
        with program(shown, "xterm", "-geometry", "60x20+30+40", "-e", loop):
            planes = None
            for number in range(60):
                if number % 5 == 0:
                    shown.run("xdotool", "mousemove", str(17 * number % 640), str(31 * number % 400))
                if not source.wait(0.2):
                    continue
                picture = source.grab(number * 20_000)
                planes = planes or Planes(640, 400)
                planes.note(source.changed_rows)
                whole = av.VideoFrame.from_numpy_buffer(picture.copy(), "bgra").reformat(**WHOLE)
                assert content(planes.of(picture)) == content(whole)
                seen += source.changed_rows is not None
        assert seen > 10
        until(lambda: shown.ask("xwininfo", "-root", "-children").count("0 children."))
        until(lambda: source.wait(1))
        # The programs are gone and nothing moves: what was read in pieces is what a fresh reader sees.
        while source.wait(0.5):
            pieced = source.grab(1_200_000).copy()
        fresh = X11Source(shown.name, cursor=True)
        assert np.array_equal(pieced[..., :3], fresh.grab(0)[..., :3])
        fresh.close()
        source.close()
