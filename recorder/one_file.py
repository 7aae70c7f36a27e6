"""A whole recording as one MP4, whatever sizes its epochs have: encoded anew, each picture at its own size.

What was not recorded is a dark stretch, as long as the gap but at most two seconds.
"""

from __future__ import annotations

import heapq
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from recorder import durable
from recorder.errors import Unreadable
from recorder.export import Exported, SegmentReader, Sound, presented
from recorder.planes import encodable
from recorder.quality import BT601
from recorder.spool import unwritable
from recorder.upright import upright

if TYPE_CHECKING:
    from av.packet import Packet

TICKS, RATE = 90_000, 48_000
LONGEST_DARK_US = 2_000_000
LAST_US = 40_000  # the last picture of an epoch is shown again this long before its end
ASTRAY = RATE // 20  # samples that sound may be off before silence is put in, or some of it left out
Moment = tuple[int, int, Any]  # microseconds of the file; 0 for a picture, 1 for sound; the frame


@dataclass(frozen=True)
class Epoch:
    """Segments of one epoch, how long they last, the sound beside them, and what is missing before it."""

    parts: Iterable[bytes]
    length_us: int
    gap_us: int = 0
    sound: Sound | None = None


def write_one_mp4(out: Path, epochs: Sequence[Epoch], *, size: tuple[int, int]) -> Exported:
    """Write all epochs into one MP4 whose pictures have this size (`size_shown`, the largest of any epoch).

    The file appears whole under its name, or not at all; errors are those of `write_mp4`.
    """
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as target:
            exported = _Writer(target, size, with_sound=any(one.sound for one in epochs)).write(epochs)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        durable.rename(temporary, out)
    except FFmpegError as error:
        if isinstance(error, OSError):
            raise unwritable(out, error) from error
        raise Unreadable(f"{out.name} cannot be made: {error}. Verify the recording.") from error
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return exported


def size_shown(segment: bytes) -> tuple[int, int]:
    """Width and height of a segment's pictures as they are seen; `Unreadable` when they cannot be."""
    try:
        with av.open(io.BytesIO(segment), "r", format="mp4") as container:
            frame = next(container.decode(video=0))
    except (FFmpegError, StopIteration) as error:
        raise Unreadable(f"A segment cannot be decoded: {error}. Verify the recording.") from error
    lies = round(frame.rotation / 90) % 2
    return (frame.height, frame.width) if lies else (frame.width, frame.height)


class _Writer:
    """The file being written."""

    def __init__(self, target: OutputContainer, size: tuple[int, int], *, with_sound: bool) -> None:
        self._target = target
        self._width, self._height = (side + side % 2 for side in size)
        self._video = self._picture_stream()
        self._voice = _Voice(target) if with_sound else None
        self._converter = VideoReformatter()
        self._frames, self._tick = 0, -1

    def write(self, epochs: Iterable[Epoch]) -> Exported:
        """All of them, one behind the other."""
        at_us = 0
        for epoch in epochs:
            if epoch.gap_us > 0:
                self._show(np.zeros((self._height, self._width, 3), dtype=np.uint8), at_us)
                at_us += min(epoch.gap_us, LONGEST_DARK_US)
            self._write(epoch, at_us)
            at_us += epoch.length_us
        self._target.mux(self._video.encode(None))
        if self._voice is not None:
            self._voice.close(at_us)
        return Exported(self._frames, at_us)

    def _write(self, epoch: Epoch, at_us: int) -> None:
        with ExitStack() as opened:
            reader = SegmentReader(epoch.parts)
            shown = opened.enter_context(av.open(reader, "r", format="mp4"))
            pictures, zero = _pictures(presented(reader, shown), shown.streams.video[0], at_us=at_us)
            sounds: Iterator[Moment] = iter(())
            if epoch.sound is not None:
                heard = opened.enter_context(av.open(SegmentReader(epoch.sound.parts), "r", format="mp4"))
                sounds = _sounds(heard, at_us, zero=zero)
            last = None
            for moment_us, kind, frame in heapq.merge(pictures, sounds, key=lambda moment: moment[:2]):
                if kind:
                    self._hear(frame, moment_us, from_us=at_us, until_us=at_us + epoch.length_us)
                else:
                    last = upright(frame, pixels="bgr24")
                    self._show(last, moment_us)
            if last is not None:
                self._show(last, at_us + epoch.length_us - LAST_US)

    def _hear(self, frame: av.AudioFrame, at_us: int, *, from_us: int, until_us: int) -> None:
        if self._voice is not None and from_us <= at_us < until_us:
            self._voice.put(frame, at_us)

    def _show(self, picture: Any, at_us: int) -> None:
        """A picture in the middle of the dark."""
        tick = at_us * TICKS // 1_000_000
        if tick <= self._tick:
            return
        picture = _fitting(picture, self._width, self._height)
        height, width = picture.shape[:2]
        canvas = np.zeros((self._height, self._width, 3), dtype=np.uint8)
        top, left = (self._height - height) // 2, (self._width - width) // 2
        canvas[top : top + height, left : left + width] = picture
        frame = encodable(av.VideoFrame.from_ndarray(canvas, "bgr24"), self._converter)
        frame.pts, frame.time_base, self._tick = tick, Fraction(1, TICKS), tick
        self._frames += 1
        self._target.mux(self._video.encode(frame))

    def _picture_stream(self) -> VideoStream:
        options = {"preset": "veryfast", "crf": "20"}
        stream = self._target.add_stream("libx264", rate=30, options=options)
        assert isinstance(stream, VideoStream)  # noqa: S101 -- libx264 makes pictures
        stream.width, stream.height, stream.pix_fmt = self._width, self._height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = BT601
        return stream


class _Voice:
    """The sound of the file: one stretch of samples, with silence where there is none."""

    def __init__(self, target: OutputContainer) -> None:
        self._target = target
        stream = target.add_stream("aac", rate=RATE, options={"b": "128000"})
        assert isinstance(stream, AudioStream)  # noqa: S101 -- aac makes sound
        stream.layout = "stereo"
        self._stream = stream
        self._alike = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        self._waiting = np.zeros((2, 0), dtype=np.float32)
        self._written = 0

    def put(self, frame: av.AudioFrame, at_us: int) -> None:
        """Sound that begins then."""
        ahead = self._written + self._waiting.shape[1] - at_us * RATE // 1_000_000
        if ahead > ASTRAY:
            return
        if ahead < -ASTRAY:
            self._be_silent(-ahead)
        frame.pts = None
        for alike in self._alike.resample(frame):
            self._add(alike.to_ndarray())

    def close(self, end_us: int) -> None:
        """Silence up to the end."""
        missing = end_us * RATE // 1_000_000 - self._written - self._waiting.shape[1]
        self._be_silent(max(0, missing))
        self._target.mux(self._stream.encode(None))

    def _be_silent(self, samples: int) -> None:
        """For a second at a time: there may be hours without sound."""
        for begun in range(0, samples, RATE):
            self._add(np.zeros((2, min(RATE, samples - begun)), dtype=np.float32))

    def _add(self, samples: Any) -> None:
        self._waiting = np.concatenate([self._waiting, samples], axis=1)
        while self._waiting.shape[1] >= 1024:
            now, self._waiting = self._waiting[:, :1024], self._waiting[:, 1024:]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(now), "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self._written, Fraction(1, RATE)
            self._written += 1024
            self._target.mux(self._stream.encode(frame))


def _pictures(
    packets: Iterator[Packet[Any]], stream: VideoStream, *, at_us: int
) -> tuple[Iterator[Moment], Fraction]:
    """The pictures, from `at_us` on, and the time at which the first was decoded, seconds."""
    first = next(packets, None)
    if first is None or first.pts is None or first.dts is None:
        raise Unreadable("There is nothing to export: an epoch has no frames. Verify the recording.")
    base, zero = Fraction(stream.time_base or 1), first.pts

    def moments() -> Iterator[Moment]:
        for packet in chain([first], packets, [None]):
            for frame in stream.decode(packet):
                yield at_us + int(((frame.pts or 0) - zero) * base * 1_000_000), 0, frame

    return moments(), first.dts * base


def _fitting(picture: Any, width: int, height: int) -> Any:
    """The picture, smaller if it is larger than that: a camera may change its size within an epoch."""
    high, wide = picture.shape[:2]
    part = min(width / wide, height / high)
    if part >= 1:
        return picture
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "bgr24")
    return frame.reformat(max(1, int(wide * part)), max(1, int(high * part))).to_ndarray()


def _sounds(container: InputContainer, at_us: int, *, zero: Fraction) -> Iterator[Moment]:
    for frame in container.decode(audio=0):
        seconds = (frame.pts or 0) * Fraction(frame.time_base or 1) - zero
        yield at_us + int(seconds * 1_000_000), 1, frame
