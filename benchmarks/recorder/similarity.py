"""SSIM of decoded video against what the screen showed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Any

import av
import numpy as np

from .scenes import brightness

BLOCK = 8
# Of Wang et al. 2004, for 8 bits.
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BEFORE, AFTER = 0.5, 0.6  # seconds around the moment, in which the screen was held for a while
EVERY = 12  # one pixel of twelve by twelve tells which pictures are worth a full comparison
COMPARED = 3
BT709 = 1
LUMA_709, LUMA_601 = (0.2126, 0.7152, 0.0722), (0.299, 0.587, 0.114)


def similarity(one: "np.ndarray[Any, Any]", other: "np.ndarray[Any, Any]") -> float:
    """The mean SSIM of blocks of 8 by 8; 1.0 for the same picture."""
    a, b = _blocks(one), _blocks(other)
    mean_a, mean_b = a.mean(-1), b.mean(-1)
    var_a, var_b = a.var(-1), b.var(-1)
    both = (a * b).mean(-1) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + C1) * (2 * both + C2)
    found = alike / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2))
    return float(found.mean())


@dataclass(frozen=True)
class Alike:
    """How alike a recording is to its source: by its luma, and by what players show.

    Luma is what encoders compare: decoded as it is, of the source by the matrix of the recording. Of what is
    shown, brightness is BT.601; colours are the mean of red, green and blue, which no matrix is nearer to.
    """

    luma: float
    brightness: float
    colours: float

    @classmethod
    def mean(cls, found: "Sequence[Alike]") -> "Alike":
        """The mean of several."""
        luma, brightness, colours = (
            sum(getattr(one, name) for one in found) / len(found)
            for name in ("luma", "brightness", "colours")
        )
        return cls(luma, brightness, colours)


def best_near(files: Sequence[Path], moment: float, *, source: "np.ndarray[Any, Any]") -> Alike:
    """The best SSIM of the pictures around a moment (seconds into the recording).

    Both recorders get the same benefit: nobody knows their clocks better than to a tenth of a second.
    """
    bright = brightness(source)
    coarse = bright[::EVERY, ::EVERY]
    near = ((float(np.abs(_coarse(frame) - coarse).mean()), frame) for frame in _near(files, moment))
    best = [frame for _, frame in nsmallest(COMPARED, near, key=lambda one: one[0])]
    return Alike(
        max((similarity(_luma_of(source, frame), _luma(frame)) for frame in best), default=0.0),
        max((similarity(bright, _brightness(frame)) for frame in best), default=0.0),
        max((_similar_colours(source, _colours(frame)) for frame in best), default=0.0),
    )


def _similar_colours(one: "np.ndarray[Any, Any]", other: "np.ndarray[Any, Any]") -> float:
    each = [similarity(*(side[..., n].astype(np.float32) for side in (one, other))) for n in range(3)]
    return sum(each) / len(each)


def _luma(frame: av.VideoFrame) -> "np.ndarray[Any, Any]":
    plane = frame.planes[0]
    whole: Any = plane
    rows = np.frombuffer(whole, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].astype(np.float32)


def _luma_of(source: "np.ndarray[Any, Any]", frame: av.VideoFrame) -> "np.ndarray[Any, Any]":
    weights = LUMA_709 if frame.colorspace == BT709 else LUMA_601
    found: np.ndarray[Any, Any] = source @ np.array(weights, np.float32) * (219 / 255) + 16
    return found


def _near(files: Sequence[Path], moment: float) -> Iterator[av.VideoFrame]:
    last = None
    for path in files:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            container.seek(int(max(0.0, moment - BEFORE) / stream.time_base), stream=stream)
            for frame in container.decode(video=0):
                assert frame.time is not None
                if frame.time > moment + AFTER:
                    break
                last = frame
                if frame.time >= moment - BEFORE:
                    yield frame
                    last = None
    if last is not None:  # shown for so long that it began before
        yield last


def _coarse(frame: av.VideoFrame) -> "np.ndarray[Any, Any]":
    return brightness(_colours(frame)[::EVERY, ::EVERY])


def _brightness(frame: av.VideoFrame) -> "np.ndarray[Any, Any]":
    return brightness(_colours(frame))


def _colours(frame: av.VideoFrame) -> "np.ndarray[Any, Any]":
    colours = "ITU709" if frame.colorspace == BT709 else "ITU601"
    found: np.ndarray[Any, Any] = frame.reformat(format="rgb24", src_colorspace=colours).to_ndarray()
    return found


def _blocks(picture: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    high, wide = (side // BLOCK for side in picture.shape)
    cut = picture[: high * BLOCK, : wide * BLOCK].reshape(high, BLOCK, wide, BLOCK)
    found: np.ndarray[Any, Any] = cut.swapaxes(1, 2).reshape(high, wide, BLOCK * BLOCK)
    return found
