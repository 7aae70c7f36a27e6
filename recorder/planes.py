"""A picture as encoders take it, kept from one to the next: only rows that have changed are converted."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from .clock import TICKS
from .quality import BT601

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Rows = tuple[int, int]  # the first, and one past the last
NO_ROWS: Rows = (0, 0)
# Chroma is made of neighbouring rows, so a change reaches a little beyond itself.
REACH = 4
# Whole pictures after which the memory that moments with many waiting ones took is given back.
FLOW = 128
STEP = 64  # rows of the smallest band; others are twice as high each: a converter takes more than a megabyte


def joined(one: Rows, other: Rows) -> Rows:
    """The rows from the first to the last of both."""
    if one[0] >= one[1]:
        return other
    if other[0] >= other[1]:
        return one
    return min(one[0], other[0]), max(one[1], other[1])


def meet(one: Rows | None, other: Rows) -> bool:
    """Whether these rows (None: all) have any in common."""
    return other[0] < other[1] and (one is None or (one[0] < other[1] and other[0] < one[1]))


def encodable(frame: av.VideoFrame, converter: VideoReformatter) -> av.VideoFrame:
    """Its luma and chroma: 4:2:0, narrow range, BT.601 (`quality.BT601`)."""
    return converter.reformat(
        frame,
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA,  # chroma is the mean of its four pixels: nearest to the source
        threads=1,
    )


class Flow:
    """Whole pictures one after the other, as `encodable` has them, in memory that is used again.

    New memory for each costs half as much as what is written there.
    """

    def __init__(self, width: int, height: int) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        pixels = av.VideoFormat("bgra", width, height)
        self._graph.link_nodes(
            self._graph.add_buffer(width=width, height=height, format=pixels, time_base=Fraction(1, TICKS)),
            self._graph.add("scale", "flags=area:out_color_matrix=bt601:out_range=tv"),
            self._graph.add("format", "yuv420p"),
            self._graph.add("buffersink"),
        ).configure()

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The next one; it is its owner's for as long as he has it."""
        frame.pts = 0
        self._graph.vpush(frame)
        return self._graph.vpull()


class Planes:
    """Luma and chroma (BT.601, narrow range, 4:2:0) of a screen of even sides; at first all of it is new."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._changed: Rows = (0, height)
        self._converters: dict[int, VideoReformatter] = {}
        self._flow: Flow | None = None
        self._in_a_row = 0  # whole pictures
        self._frame = av.VideoFrame(width, height, "yuv420p")
        _, _, self._frame.colorspace, self._frame.color_range = BT601
        self._planes = [_rows_of(plane) for plane in self._frame.planes]

    def note(self, rows: Rows | None) -> None:
        """These rows have changed; None: any may have."""
        self._changed = joined(self._changed, (0, self._height) if rows is None else rows)

    @property
    def is_renewed(self) -> bool:
        """Whether the next picture takes the place of what is kept, which then stays as it is."""
        first, last = self._reached()
        return first < last and self._band(first, last) == (0, self._height)

    def of(self, picture: Pixels) -> av.VideoFrame:
        """The picture, of which the rows that were noted are looked at.

        Good until the next call; longer if `leave` is called before that, or if that one's `is_renewed`.
        """
        first, last = self._reached()
        self._changed = NO_ROWS
        if first >= last:
            self._end_flow()
            return self._frame
        top, end = self._band(first, last)
        band = _source(picture[top:end, : self._width])
        if end - top == self._height:
            return self._keep(self._whole(band))
        self._end_flow()
        converted = encodable(band, self._converters.setdefault(band.height, VideoReformatter()))
        for plane, fresh, part in zip(self._planes, converted.planes, (1, 2, 2), strict=True):
            rows = slice(first // part, last // part)
            inside = slice((first - top) // part, (last - top) // part)
            plane[rows] = _rows_of(fresh)[inside]
        return self._frame

    def leave(self) -> None:
        """Go on with a copy: what the last call gave stays as it is."""
        copy = av.VideoFrame(self._width, self._height, "yuv420p")
        for into, plane in zip(map(_rows_of, copy.planes), self._planes, strict=True):
            into[:] = plane
        self._keep(copy)

    def _keep(self, whole: av.VideoFrame) -> av.VideoFrame:
        """All of it is new: it takes the place of what was kept."""
        self._frame = whole
        _, _, self._frame.colorspace, self._frame.color_range = BT601
        self._planes = [_rows_of(plane) for plane in whole.planes]
        return whole

    def _reached(self) -> Rows:
        """The rows whose luma or chroma may have changed."""
        first, last = self._changed[0], min(self._changed[1], self._height)
        if first >= last:
            return NO_ROWS
        return max(0, first - REACH) & ~1, min(self._height, last + REACH + 1) & ~1

    def _band(self, first: int, last: int) -> Rows:
        """What is converted for these rows: some more around them, in steps, within the picture."""
        length, wanted = STEP, last - first + 2 * REACH
        while length < wanted:
            length *= 2
        length = min(self._height, length)
        top = min(max(0, first - REACH), self._height - length) & ~1
        return top, top + length

    def _whole(self, frame: av.VideoFrame) -> av.VideoFrame:
        number, self._in_a_row = self._in_a_row, self._in_a_row + 1
        if number == 0:
            return encodable(frame, VideoReformatter())
        if self._flow is None or number % FLOW == 0:
            self._flow = Flow(self._width, self._height)
        return self._flow.of(frame)

    def _end_flow(self) -> None:
        """Not all of it moves: the memory for that is given back."""
        self._flow, self._in_a_row = None, 0


def _source(pixels: Pixels) -> av.VideoFrame:
    return av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), "bgra")


def _rows_of(plane: Any) -> Pixels:
    whole = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return whole[: plane.height, : plane.width]
