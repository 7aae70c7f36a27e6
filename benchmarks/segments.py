"""Real segments of a wanted size: 1280x720 H.264 in fragmented MP4, a desktop with a patch of noise.

The size of the patch is found by trial. What comes out does not compress, as recorded video does not.
"""

import io
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import av
import numpy as np

from recorder.spool import SegmentName, Spool, sequence_of

WIDTH, HEIGHT, RATE = 1280, 720, 30
SECONDS = 2
SMALL, LARGE = 64 * 1024, 8 * 1024 * 1024
CLOSE_ENOUGH = 0.03
MOST_TRIALS = 8


def make(directory: Path, *, size: int, count: int) -> list[Path]:
    """`count` different segments of nearly `size` bytes, as files in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    area = _patch_for(size)
    made = []
    for number in range(count):
        path = directory / f"{size}-{number}.mp4"
        path.write_bytes(_encoded(area, seed=number))
        made.append(path)
    return made


def _patch_for(size: int) -> float:
    """The part of the picture that is noise in a segment this large."""
    low, high = 0.0, 1.0
    area = size / LARGE * 0.25
    for _ in range(MOST_TRIALS):
        found = len(_encoded(area, seed=0))
        if abs(found / size - 1) < CLOSE_ENOUGH:
            break
        low, high = (area, high) if found < size else (low, area)
        guess = area * size / found
        area = guess if low < guess < high else (low + high) / 2
    return area


def _encoded(area: float, *, seed: int) -> bytes:
    out = io.BytesIO()
    random = np.random.default_rng(seed)
    flags = "empty_moov+default_base_moof+frag_keyframe+cmaf"
    with av.open(out, "w", format="mp4", options={"movflags": flags}) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "superfast", "crf": "21"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = SECONDS * RATE
        stream.codec_context.time_base = Fraction(1, RATE)
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, dtype=np.uint8)
        for index in range(SECONDS * RATE):
            _draw_noise(picture, area, random=random)
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def _draw_noise(picture: np.ndarray, area: float, *, random: np.random.Generator) -> None:
    width, height = max(8, round(WIDTH * area**0.5)), max(8, round(HEIGHT * area**0.5))
    picture[:height, :width] = random.integers(0, 256, (height, width), dtype=np.uint8)


def commit(spool: Spool, session: UUID, *, counter: int, source: bytes, take: int = 1) -> Path:
    """The segment, durably in the spool as the recorder leaves it: it counts from this rename on."""
    start = (counter - 1) * SECONDS * 1_000_000
    name = SegmentName(
        session=session,
        track="screen",
        sequence=sequence_of(take, counter),
        epoch=1,
        start_us=start,
        end_us=start + SECONDS * 1_000_000,
        wall_ms=1_700_000_000_000 + counter * SECONDS * 1000,
    )
    part = spool.make_take(session, take) / name.part_filename
    part.write_bytes(source)
    return spool.commit(part, name)
