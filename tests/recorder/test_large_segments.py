"""No segment grows beyond what the archive takes, whatever is shown and however seldom it could be cut."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lucid_sessions.recordings.pipeline import MOST_RAW_BYTES
from recorder.clock import Timeline
from recorder.screen import Segmenter
from recorder.settings import Settings
from recorder.spool import Spool
from recorder.take import Take
from recorder.track import LARGE_BYTES

from .stage import WHOLE, Child, assert_gapless, packet_hashes, segments

A_MINUTE = Settings(quality="ultra", segment_seconds=60)
WIDTH, HEIGHT = 1280, 720


def test_a_segment_of_a_film_like_screen_is_cut_before_its_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    take = Take(spool, WHOLE, take=1)
    take.begin(Timeline.starting_now(), host="here")
    segmenter, rng = Segmenter(take, A_MINUTE), np.random.default_rng(1)
    for number in range(40):  # three megabytes each
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 4), dtype=np.uint8)
        segmenter.push(picture, number * 33_000)
    segmenter.close(40 * 33_000)
    found = segments(spool, take.directory)
    assert_gapless([name for _, name in found])
    lengths = [path.stat().st_size for path, _ in found]
    assert sum(lengths) > MOST_RAW_BYTES
    assert max(lengths) < MOST_RAW_BYTES
    assert min(lengths[:-1]) > LARGE_BYTES  # as few key frames as can be
    assert sum(len(packet_hashes(path)) for path, _ in found) == 40


def test_a_file_is_cut_at_a_key_frame_before_its_time(tmp_path: Path) -> None:
    video = draw_noise(tmp_path / "v.mp4", pictures=30, every=10)
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=A_MINUTE) as child:
        assert child.end(None) == 0
    found = segments(child.spool, child.directory)
    assert_gapless([name for _, name in found])
    assert len(found) > 1
    assert max(path.stat().st_size for path, _ in found) < MOST_RAW_BYTES
    assert [packet for path, _ in found for packet in packet_hashes(path)] == packet_hashes(video)


def test_a_file_that_cannot_be_cut_fails_with_what_to_do_and_keeps_what_came_before(tmp_path: Path) -> None:
    video = draw_noise(tmp_path / "v.mp4", pictures=50, every=1000)
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=A_MINUTE) as child:
        assert child.end(None) == 3
    reason = child.heard("failed")["reason"]
    assert "v.mp4 has no key frame in 60 MiB from 0:00.0 on" in reason
    assert "ffmpeg -i IN" in reason
    ((path, name),) = segments(child.spool, child.directory)
    assert path.stat().st_size < MOST_RAW_BYTES
    assert child.spool.closed(child.directory)["screen"].end_us == name.end_us > 1_000_000


def draw_noise(path: Path, *, pictures: int, every: int) -> Path:
    """A video of over a megabyte a picture, with a key frame every so many."""
    options = {"preset": "ultrafast", "qp": "0", "g": str(every)}
    rng = np.random.default_rng(2)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(pictures):
            noise = rng.integers(0, 255, (HEIGHT * 3 // 2, WIDTH), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
