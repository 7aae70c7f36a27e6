"""An export has its sound: the very packets, beside the picture where they were, none of other epochs."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from recorder.export import Sound, write_mp4
from recorder.settings import Settings
from recorder.spool import Spool

from .stage import Child, draw_video, packet_hashes, segments
from .together import apart, came_on

ONE_SECOND = Settings(segment_seconds=1)
RATE, SOUND_RATE, SECONDS = 25, 48_000, 5


def flash_and_beep(path: Path, *, at: int, **options: str) -> Path:
    """A dark, silent video in which picture and sound come on together, for a fifth of a second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"g": "25", **options})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        tone: Any = container.add_stream("aac", rate=SOUND_RATE)
        for number in range(SECONDS * RATE):
            bright = 255 if at * RATE <= number < at * RATE + RATE // 5 else 0
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), bright, dtype=np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for start in range(0, SECONDS * SOUND_RATE - 1024, 1024):
            samples = np.arange(start, start + 1024)
            loud = (at * SOUND_RATE <= samples) & (samples < at * SOUND_RATE + SOUND_RATE // 5)
            wave = (np.sin(samples / 8) * loud)[None].repeat(2, 0).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(wave, "fltp", "stereo")
            heard.sample_rate, heard.pts = SOUND_RATE, start
            container.mux(tone.encode(heard))
        container.mux(tone.encode(None))
    return path


def taken_over(video: Path, spool: Spool) -> tuple[list[bytes], list[bytes]]:
    """A file's segments as the recorder keeps them: pictures, sound."""
    with Child(spool, video.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    kept = [segments(spool, child.directory, track=track) for track in ("screen", "audio")]
    pictures, sound = [[path.read_bytes() for path, _ in found] for found in kept]
    return pictures, sound


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "3"}])
def test_what_was_seen_and_heard_together_still_is(tmp_path: Path, options: dict[str, str]) -> None:
    video = flash_and_beep(tmp_path / "in.mp4", at=3, **options)
    pictures, sound = taken_over(video, Spool(tmp_path / "spool"))
    write_mp4(tmp_path / "out.mp4", pictures, sound=Sound(sound))
    assert came_on(tmp_path / "out.mp4")[0] == pytest.approx([3], abs=0.001)
    assert max(apart(tmp_path / "out.mp4")) < 0.05
    assert packet_hashes(tmp_path / "out.mp4") == packet_hashes(video)
    assert packet_hashes(tmp_path / "out.mp4", kind="audio") == packet_hashes(video, kind="audio")[1:]


def test_an_export_that_begins_later_keeps_the_two_together(tmp_path: Path) -> None:
    video = flash_and_beep(tmp_path / "in.mp4", at=3)
    pictures, sound = taken_over(video, Spool(tmp_path / "spool"))
    write_mp4(tmp_path / "out.mp4", pictures[2:], sound=Sound(sound[1:]))
    assert came_on(tmp_path / "out.mp4")[0] == pytest.approx([1], abs=0.001)
    assert max(apart(tmp_path / "out.mp4")) < 0.05


def test_sound_of_what_comes_next_is_left_out(tmp_path: Path) -> None:
    video = flash_and_beep(tmp_path / "in.mp4", at=3)
    pictures, sound = taken_over(video, Spool(tmp_path / "spool"))
    exported = write_mp4(tmp_path / "out.mp4", pictures[:2], sound=Sound(sound, until_us=2_000_000))
    assert exported.duration_us == 2_000_000
    with av.open(str(tmp_path / "out.mp4")) as container:
        heard = container.streams.audio[0]
        assert abs(float((heard.duration or 0) * (heard.time_base or 0)) - 2) < 0.05


def test_no_sound_is_no_stream_of_sound(tmp_path: Path) -> None:
    video = draw_video(tmp_path / "in.mp4", "libx264", g="25")
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=ONE_SECOND) as child:
        assert child.end(None) == 0
    pictures = [path.read_bytes() for path, _ in segments(child.spool, child.directory)]
    write_mp4(tmp_path / "out.mp4", pictures, sound=Sound([]))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
