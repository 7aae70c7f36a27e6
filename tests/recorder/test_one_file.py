"""A recording of several sizes and with gaps becomes one file on request: nothing scaled or out of step."""

import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from recorder.export import Sound
from recorder.one_file import Epoch, write_one_mp4
from recorder.spool import Spool

from .stage import draw_video
from .test_export_with_sound import flash_and_beep, taken_over
from .together import came_on

SECOND = 1_000_000


def test_epochs_of_two_sizes_and_a_gap_are_one_file_in_which_all_stays_together(tmp_path: Path) -> None:
    flash = flash_and_beep(tmp_path / "flash.mp4", at=3)
    other = draw_video(tmp_path / "other.mp4", "libx264", g="25", seconds=4)
    pictures, sound = taken_over(flash, Spool(tmp_path / "one"))
    larger, _ = taken_over(other, Spool(tmp_path / "two"))
    epochs = [
        Epoch(pictures, 5 * SECOND, sound=Sound(sound)),
        Epoch(larger, 4 * SECOND, gap_us=3600 * SECOND),
        Epoch(pictures, 5 * SECOND, sound=Sound(sound)),
    ]
    exported = write_one_mp4(tmp_path / "out.mp4", epochs, size=(160, 96))
    assert exported.duration_us == (5 + 2 + 4 + 5) * SECOND
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (160, 96)
        assert abs((container.duration or 0) / SECOND - 16) < 0.1
        frames = {float(f.time or 0): f.to_ndarray(format="gray") for f in container.decode(video=0)}
    dark = [picture for at, picture in frames.items() if 5 <= at < 7]
    assert dark
    assert max(picture.max() for picture in dark) < 40
    first = frames[0.0]
    assert first[:, :30].max() < 40  # the smaller picture is in the middle, as large as it was
    seen, heard = came_on(tmp_path / "out.mp4")
    seen = [at for at in seen if not 7 <= at < 11]
    assert np.allclose(seen, [3, 14], atol=0.001)
    assert np.allclose(heard, [3, 14], atol=0.05)


def test_a_long_stretch_without_sound_takes_no_memory_for_its_silence(tmp_path: Path) -> None:
    pictures, sound = taken_over(flash_and_beep(tmp_path / "flash.mp4", at=3), Spool(tmp_path / "one"))
    heard = Epoch(pictures, 5 * SECOND, sound=Sound(sound))
    tracemalloc.start()
    try:
        write_one_mp4(tmp_path / "out.mp4", [heard, Epoch(pictures, 60 * SECOND), heard], size=(160, 96))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20_000_000
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert abs(float(container.streams.audio[0].duration or 0) / 48_000 - 70) < 0.1
    assert np.allclose(came_on(tmp_path / "out.mp4")[1], [3, 68], atol=0.05)


def test_pictures_that_become_larger_within_an_epoch_are_made_to_fit(tmp_path: Path) -> None:
    pictures, _ = taken_over(_growing(tmp_path / "camera.mp4"), Spool(tmp_path / "one"))
    write_one_mp4(tmp_path / "out.mp4", [Epoch(pictures, 4 * SECOND)], size=(160, 96))
    with av.open(str(tmp_path / "out.mp4")) as container:
        seen = {float(f.time or 0): f.to_ndarray(format="gray") for f in container.decode(video=0)}
    assert all(seen[at].shape == (96, 160) and seen[at].min() > 150 for at in (1.0, 3.0))


def _growing(path: Path) -> Path:
    """Two seconds of a small picture and two of one twice as large, as cameras send when they are told to."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "25"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        larger: Any = av.CodecContext.create("libx264", "w")
        larger.width, larger.height, larger.pix_fmt, larger.framerate = 320, 192, "yuv420p", 25
        larger.time_base, larger.options = Fraction(1, 25), {"bf": "0", "g": "25"}
        for number in range(100):
            encoder = stream if number < 50 else larger
            light = np.full((encoder.height, encoder.width, 3), 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(light, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            _mux(container, stream, encoder.encode(frame))
            if number == 49:
                _mux(container, stream, stream.encode(None))
        _mux(container, stream, larger.encode(None))
    return path


def _mux(container: Any, stream: Any, packets: list[Any]) -> None:
    for packet in packets:
        packet.stream = stream
        container.mux(packet)
