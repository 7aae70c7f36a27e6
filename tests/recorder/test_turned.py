"""A file whose pictures are to be turned, as phones film, is seen upright wherever it is decoded."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from recorder.one_file import Epoch, size_shown, write_one_mp4
from recorder.settings import Settings
from recorder.spool import Spool

from .stage import Child, pictures, segments

# How a stored picture is turned when it is shown, and which of its corners is then at the top left.
QUARTERS = {
    "clockwise": ((0, 0x10000, 0, -0x10000, 0, 0), "bottom left"),
    "upside down": ((-0x10000, 0, 0, 0, -0x10000, 0), "bottom right"),
    "against the clock": ((0, -0x10000, 0, 0x10000, 0, 0), "top right"),
}


@pytest.mark.parametrize("turn", QUARTERS)
def test_thumbs_and_exports_to_one_file_are_upright(tmp_path: Path, turn: str) -> None:
    matrix, corner = QUARTERS[turn]
    video = turned(drawn(tmp_path / "v.mp4", bright=corner), matrix)
    settings = Settings(segment_seconds=1, poster_width=64)
    with Child(Spool(tmp_path / "spool"), video.as_uri(), settings=settings) as child:
        assert child.end(None) == 0
    parts = [path.read_bytes() for path, _ in segments(child.spool, child.directory)]
    size = (64, 96) if "clock" in turn else (96, 64)
    assert size_shown(parts[0]) == size
    write_one_mp4(tmp_path / "out.mp4", [Epoch(parts, 1_000_000)], size=size)
    thumbs = [path for path, name in child.spool.segments(child.directory) if name.track == "thumb"]
    for shown in (pictures(tmp_path / "out.mp4")[0], pictures(thumbs[0])[0]):
        assert (shown.shape[1] < shown.shape[0]) == (size[0] < size[1])
        height, width = shown.shape[:2]
        assert shown[: height // 3, : width // 3].mean() > 200
        assert shown[height // 2 :].mean() < 40
        assert shown[:, width // 2 :].mean() < 40


def drawn(path: Path, *, bright: str) -> Path:
    """A dark video with one bright corner."""
    picture = np.zeros((64, 96, 3), dtype=np.uint8)
    rows = slice(0, 32) if "top" in bright else slice(32, 64)
    columns = slice(0, 48) if "left" in bright else slice(48, 96)
    picture[rows, columns] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


def turned(path: Path, matrix: tuple[int, ...]) -> Path:
    """The file with this matrix in its track's header (ISO/IEC 14496-12, 8.3.2)."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 20 + 4 + 16
    a, b, u, c, d, v = matrix
    struct.pack_into(">9i", content, place, a, b, u, c, d, v, 0, 0, 0x40000000)
    path.write_bytes(content)
    return path
