"""The thumb track: for each segment of the screen a small picture of its beginning, and how much changed.

A thumb is a WebP file of its own. Its figures travel in a chunk `LCDA` of JSON, which viewers skip.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import av
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from recorder.beside import Beside
from recorder.errors import Unreadable
from recorder.part import Part
from recorder.take import Take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recorder.samples import Seen
    from recorder.screen import Picture

TRACK = "thumb"
WEBP = {"quality": "60", "compression_level": "2", "preset": "text"}
FIGURES = b"LCDA"
PAINTED = 0.02  # part of a picture that is not of one colour, once there is something to be seen
ADVICE = "It is damaged; keep it and look at it, and check the spool's disk."


@dataclass(frozen=True)
class Thumb:
    """What a thumb holds: its size, and the figures of the segment that it stands for.

    `frames` were shown; `changed` adds up which part of the screen each of them changed (1.0: all of it).
    """

    width: int
    height: int
    frames: int
    changed: float


class ThumbTrack:
    """One epoch of thumbs, cut as the screen is.

    A picture is made small when it comes, and encoded and written in `look`: the next picture of the screen
    is not kept waiting where the key frame before it has already taken long.
    """

    def __init__(self, take: Take, *, width: int) -> None:
        self._take, self._width = take, width
        self._epoch = take.next_epoch(TRACK)
        self._fresh: av.VideoFrame | None = None
        self._poster: _Poster | None = None
        self._ended: list[_Ended] = []
        self._beside = Beside()
        self._start_us = self._frames = 0
        self._changed = 0.0
        self._is_blank = False
        self._is_new = True

    def look(self, now_us: int) -> None:  # noqa: ARG002 -- others go by the time
        """Do what has been put off."""
        self._encode()
        self._beside.look()
        while self._ended:
            self._write(self._ended.pop(0))

    def cut(self, at_us: int) -> None:
        """The segment before is over; the next picture stands for the new one."""
        self._end(at_us)
        self._poster, self._start_us = None, at_us
        self._frames, self._changed = 0, 0.0

    def shown(self, seen: Seen) -> None:
        """Count what this picture changed; keep the first of a segment that shows something.

        A desktop that has just been logged on to is black until its server has painted it.
        """
        self._frames += 1
        changed, self._is_new = 1.0 if self._is_new else seen.changed, False
        self._changed += changed
        is_first = self._poster is None and self._fresh is None
        if is_first or (self._is_blank and changed):
            self._fresh, self._is_blank = _small(seen.picture, self._width), _shows_nothing(seen.sample)

    def skipped(self) -> None:
        """Count a picture that was not looked at."""
        self._frames += 1

    def close(self, end_us: int) -> None:
        """The last segment is over."""
        self._end(end_us)
        self._poster = None
        self.give_up(end_us)

    def give_up(self, at_us: int) -> None:
        """Those of segments that are over may still be written."""
        self.look(at_us)
        self._beside.settle()

    def _end(self, end_us: int) -> None:
        """The open segment is over: what is to be written of it."""
        self._encode()
        if self._poster is not None and end_us > self._start_us:
            content = _with_figures(self._poster, frames=self._frames, changed=self._changed)
            self._ended.append(_Ended(content, self._start_us, end_us))

    def _encode(self) -> None:
        if self._fresh is not None:
            self._poster, self._fresh = _encoded(self._fresh), None

    def _write(self, ended: _Ended) -> None:
        name = self._take.next_segment(TRACK, epoch=self._epoch, start_us=ended.start_us, extension="webp")
        part = Part(self._take, name, init=ended.content)
        self._beside.do(partial(part.finish, ended.end_us))


def _shows_nothing(sample: NDArray[np.uint32]) -> bool:
    """Whether nearly all of a picture has one colour."""
    return bool((sample != sample[0, 0]).mean() < PAINTED)


def webp(picture: Picture, *, width: int, frames: int, changed: float) -> bytes:
    """A thumb of a picture, with these figures."""
    return _with_figures(_encoded(_small(picture, width)), frames=frames, changed=changed)


def read_thumb(content: bytes) -> Thumb:
    """What a thumb says; `Unreadable` unless it is a picture that decodes, with its figures."""
    try:
        figures = json.loads(next(body for kind, body in _chunks(content) if kind == FIGURES))
        with av.open(io.BytesIO(content), "r", format="webp_pipe") as container:
            frame = next(container.decode(video=0))
        return Thumb(frame.width, frame.height, int(figures["frames"]), float(figures["changed"]))
    except (FFmpegError, ValueError, StopIteration, struct.error, LookupError, TypeError) as error:
        raise Unreadable(f"The thumb cannot be read ({type(error).__name__}). {ADVICE}") from error


@dataclass(frozen=True)
class _Ended:
    """A thumb that is complete, and the stretch that it stands for."""

    content: bytes
    start_us: int
    end_us: int


@dataclass(frozen=True)
class _Poster:
    width: int
    height: int
    webp: bytes


def _small(picture: Picture, width: int) -> av.VideoFrame:
    """A picture made small (never larger)."""
    high, wide = picture.shape[:2]
    width = min(width, wide) & ~1
    height = max(2, round(high * width / wide) & ~1)
    frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(picture), "bgra")
    # WebP is decoded as BT.601 with its narrow range, whatever the screen's video uses.
    return frame.reformat(width, height, "yuv420p", dst_colorspace="ITU601", interpolation="AREA", threads=1)


def _encoded(small: av.VideoFrame) -> _Poster:
    width, height = small.width, small.height
    codec = av.CodecContext.create("libwebp", "w")
    assert isinstance(codec, VideoCodecContext)  # noqa: S101 -- libwebp makes pictures
    codec.width, codec.height, codec.pix_fmt, codec.options = width, height, "yuv420p", WEBP
    codec.time_base = small.time_base = Fraction(1)
    packets = [*codec.encode(small), *codec.encode(None)]
    return _Poster(width, height, b"".join(bytes(packet) for packet in packets))


def _with_figures(poster: _Poster, *, frames: int, changed: float) -> bytes:
    """The extended form of a WebP file (VP8X): the same picture, then a chunk of ours."""
    sides = (side - 1 for side in (poster.width, poster.height))
    extended = bytes(4) + b"".join(side.to_bytes(3, "little") for side in sides)
    figures = json.dumps({"changed": round(changed, 4), "frames": frames}).encode()
    pictures = ((kind, body) for kind, body in _chunks(poster.webp) if kind == b"VP8 ")
    chunks = [(b"VP8X", extended), *pictures, (FIGURES, figures)]
    body = b"WEBP" + b"".join(_chunk(kind, content) for kind, content in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _chunks(webp: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a WebP file; stops at the first that is cut off."""
    if webp[:4] != b"RIFF" or webp[8:12] != b"WEBP":
        return
    place = 12
    while place + 8 <= len(webp):
        kind, length = struct.unpack_from("<4sI", webp, place)
        if place + 8 + length > len(webp):
            return
        yield kind, webp[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
