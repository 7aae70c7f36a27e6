"""A source that cannot be recorded is refused in one line that names it and the fix."""

from pathlib import Path

import av
import numpy as np
import pytest

from recorder.errors import BadSource
from recorder.settings import Settings
from recorder.sources import check_source, open_source
from recorder.sources.canvas import letters_in
from recorder.sources.desktop import Desktop, clock_text
from tests.programs import needed_library

from .stage import draw_video


def refusal(url: str) -> str:
    with pytest.raises(BadSource) as caught:
        check_source(url)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("url", ["", "desk", "ftp://host/x", "ftp://host"])
def test_an_unknown_kind_is_refused_with_the_known_ones(url: str) -> None:
    assert "Write one of synthetic://1280x720, x11://:0" in refusal(url)


@pytest.mark.parametrize("url", ["rdp://operator@[::1", "x11://[0", "vnc://[zz]", "file://[/v.mp4"])
def test_what_is_no_address_is_named(url: str) -> None:
    assert f"{url.replace('operator@', '')!r} is no address: " in refusal(url)


@pytest.mark.parametrize("size", ["0x0", "8x8", "1280", "1280x", "99999x99999", "-4x5", "axb"])
def test_a_synthetic_desktop_of_no_usable_size_is_refused(size: str) -> None:
    assert "Write synthetic://WIDTHxHEIGHT" in refusal(f"synthetic://{size}")


def test_a_display_that_is_not_there_is_named() -> None:
    needed_library("xcb", package="libxcb1")
    assert "no display :987" in refusal("x11://:987")
    assert "names no display" in refusal("x11://")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path}/no.mp4 does not exist" in refusal(f"file://{tmp_path}/no.mp4")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "is empty (0 bytes)" in refusal(f"file://{tmp_path}/empty.mp4")


def test_a_directory_is_no_video(tmp_path: Path) -> None:
    assert "is not a file" in refusal(f"file://{tmp_path}")


def test_a_file_of_another_machine_is_refused() -> None:
    assert "no file of this machine" in refusal("file://elsewhere/video.mp4")


@pytest.mark.parametrize("content", [b"\0" * 5000, b"just some text\n" * 400, bytes(range(256)) * 40])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    assert "ffmpeg" in refusal(f"file://{tmp_path}/x.mp4")


def test_a_cut_off_video_is_refused(tmp_path: Path) -> None:
    whole = draw_video(tmp_path / "whole.mp4", "libx264", seconds=2).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert "cut.mp4" in refusal(f"file://{tmp_path}/cut.mp4")


def test_another_container_is_named(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "x.avi", "mpeg4", seconds=1)
    assert "neither mp4 nor mkv but avi" in refusal(f"file://{path}")


def test_a_file_with_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        tone = container.add_stream("aac", rate=48_000)
        samples = av.AudioFrame.from_ndarray(np.zeros((2, 1024), dtype=np.float32), "fltp", "stereo")
        samples.sample_rate = 48_000
        container.mux(tone.encode(samples))
        container.mux(tone.encode(None))
    assert "holds no pictures but only sound" in refusal(f"file://{path}")


def test_a_video_in_which_no_time_passes_is_refused(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "still.mp4", "libx264", rate=1, seconds=1)
    content = bytearray(path.read_bytes())
    for box, place, length in ((b"stts", 12, 4), (b"mdhd", 20, 4), (b"mvhd", 20, 4), (b"tkhd", 24, 4)):
        at = content.index(box) + place
        content[at : at + length] = bytes(length)
    path.write_bytes(content)
    assert "has a duration of 0" in refusal(f"file://{path}")


def test_good_sources_pass(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "a name with spaces.mp4", "libx264", seconds=1)
    check_source(path.as_uri())
    check_source("synthetic://1280x720")
    check_source("synthetic://")


def test_a_synthetic_desktop_without_a_size_takes_the_wished_one() -> None:
    source = open_source("synthetic://", Settings(width=320, height=200))
    assert source.grab(0).shape == (200, 320, 4)  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(16, 16), (161, 93), (1280, 720), (90, 1200)])
def test_the_desktop_fits_any_size_and_changes_with_time(size: tuple[int, int]) -> None:
    desktop = Desktop(*size)
    before = desktop.draw(0, frame=1).copy()
    assert before.shape == (size[1], size[0], 4)
    assert not np.array_equal(before, desktop.draw(3_600_000_000, frame=2)) or min(size) < 60


def test_the_desktop_is_the_same_however_one_came_to_a_moment() -> None:
    straight, stepped = Desktop(640, 360), Desktop(640, 360)
    for at_us in range(0, 60_000_000, 470_000):
        stepped.draw(at_us, frame=at_us)
    assert np.array_equal(straight.draw(61_000_000, frame=7), stepped.draw(61_000_000, frame=7))


def test_the_clock_counts_hours_minutes_seconds_tenths() -> None:
    assert clock_text(0) == "00:00:00.0"
    assert clock_text(36_061_950_000) == "10:01:01.9"
    assert letters_in(60, 1) == len("00:00:00.0")
