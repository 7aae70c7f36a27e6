"""One epoch of a recording as an ordinary MP4 file: the same packets, never encoded again."""

from __future__ import annotations

import heapq
import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from recorder import durable, mp4
from recorder.clock import ticks_of, us_of
from recorder.errors import Unreadable
from recorder.sources.reorder import in_time
from recorder.spool import unwritable

if TYPE_CHECKING:
    from av.packet import Packet


ADVICE = "the segment is damaged. Verify the recording."


@dataclass(frozen=True)
class Exported:
    """What was written: frames (packets), and how long they last."""

    frames: int
    duration_us: int


def split_init(segment: bytes) -> tuple[bytes, bytes]:
    """A segment's initialisation (for `EXT-X-MAP`) and its media; `Unreadable` without the former."""
    length = mp4.init_length(segment)
    if not length:
        raise Unreadable("The segment has no initialisation; it is damaged. Verify the recording.")
    return segment[:length], segment[length:]


@dataclass(frozen=True)
class Sound:
    """Segments of a sound track, in order, beside the pictures; what begins at `until_us` is left out."""

    parts: Iterable[bytes]
    until_us: int | None = None


def write_mp4(out: Path, parts: Iterable[bytes], *, sound: Sound | None = None) -> Exported:
    """Write segments of one track and epoch, in order, as one MP4 that begins at zero and can be streamed.

    Every packet keeps its bytes and exact duration; sound keeps its place beside the pictures to the sample.
    The file appears whole under its name, or not at all. `Unreadable` when the parts are of different epochs,
    damaged or none; a full disk is `DiskFull`.
    """
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        exported = _copy(temporary, parts, sound)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        durable.rename(temporary, out)
    except FFmpegError as error:
        if isinstance(error, OSError):  # only the target is a file: the parts come from memory
            raise unwritable(out, error) from error
        raise Unreadable(f"{out.name} cannot be made: {error}. Verify the recording.") from error
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return exported


def _copy(temporary: Path, parts: Iterable[bytes], sound: Sound | None) -> Exported:
    shown, heard = SegmentReader(parts), SegmentReader(sound.parts if sound else ())
    if shown.is_empty:
        raise Unreadable("There is nothing to export: the epoch has no segments. Verify the recording.")
    with ExitStack() as opened:
        source = _Copied(shown, opened.enter_context(av.open(shown, "r", format="mp4")))
        scale = str(source.time_base.denominator)
        options = {"movflags": "faststart", "video_track_timescale": scale}
        target = opened.enter_context(av.open(str(temporary), "w", format="mp4", options=options))
        source.add_to(target)
        if sound is None or heard.is_empty:
            return _copy_packets(target, source, ())
        beside = _Copied(heard, opened.enter_context(av.open(heard, "r", format="mp4")))
        beside.add_to(target)
        return _copy_packets(target, source, beside.from_to(source, until_us=sound.until_us))


def _copy_packets(target: OutputContainer, source: _Copied, beside: Iterable[Packet[Any]]) -> Exported:
    """Mux both in the order of their times; the pictures' place and number are what is told."""
    frames = 0
    for packet in heapq.merge(in_time(source.shifted(source.first_pts)), beside, key=_seconds):
        frames += packet.stream_index == source.copy.index
        target.mux_one(packet)
    return Exported(frames, us_of(source.end - source.first_dts, int(1 / source.time_base)))


def _seconds(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * Fraction(packet.time_base or 1)


class _Copied:
    """One track on its way from segments into a file."""

    def __init__(self, reader: SegmentReader, container: InputContainer) -> None:
        self._stream = container.streams[0]
        self.time_base = Fraction(self._stream.time_base or 1)
        # So far, as is known now, pictures are shown before others that are decoded before them.
        self._ahead = -min(reader.offsets, default=0)
        self._packets = _exact(presented(reader, container))
        first = next(self._packets, None)
        if first is None:
            raise Unreadable("There is nothing to export: the epoch has no frames.")
        if first.dts is None or first.pts is None:
            raise Unreadable(f"A packet has no time; {ADVICE}")
        self._first, self.first_dts, self.first_pts = first, first.dts, first.pts
        self.end = first.dts

    def add_to(self, target: OutputContainer) -> None:
        """Make the same stream in the target."""
        self.copy = target.add_stream_from_template(self._stream)
        self.copy.time_base = self.time_base

    def shifted(self, zero: int) -> Iterator[Packet[Any]]:
        """All packets, for the target, their times from `zero` on."""
        for packet in chain([self._first], self._packets):
            if packet.dts is None or packet.pts is None:
                raise Unreadable(f"A packet has no time; {ADVICE}")
            self.end = packet.dts + (packet.duration or 0)
            packet.dts, packet.pts = packet.dts - zero - self._ahead, packet.pts - zero
            packet.stream = self.copy
            yield packet

    def from_to(self, screen: _Copied, *, until_us: int | None) -> Iterator[Packet[Any]]:
        """Sound from the first picture on; zero is where that is decoded, and so is shown in the file."""
        begin = round(screen.first_dts * screen.time_base / self.time_base)
        until = None if until_us is None else ticks_of(until_us, int(1 / self.time_base)) - begin
        for packet in self.shifted(begin):
            if (packet.dts or 0) >= 0 and (until is None or (packet.dts or 0) < until):
                yield packet


def presented(reader: SegmentReader, container: InputContainer) -> Iterator[Packet[Any]]:
    """The packets of segments, shown when these say.

    The library tells all of them later by how far it has met pictures to be reordered: where it meets some
    that go further than those before, by more from there on.
    """
    stream = container.streams[0]
    for packet in container.demux(stream):
        if packet.size:
            if stream.type == "video" and packet.dts is not None and reader.offsets:
                packet.pts = packet.dts + reader.offsets.popleft()
            yield packet


def _exact(packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Packets in decode order; each lasts exactly until the next, the last as long as its segment says."""
    held: Packet[Any] | None = None
    for packet in packets:
        if held is not None:
            held.duration = (packet.dts or 0) - (held.dts or 0)
            yield held
        held = packet
    if held is not None:
        yield held


class SegmentReader(io.RawIOBase):
    """Reads one initialisation and the media of all parts, one part in memory at a time.

    `offsets`: by how many ticks each sample that was read is shown later than it is decoded.
    """

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._init = b""
        first = next(self._parts, b"")
        self._rest = memoryview(first)
        self.offsets = deque(mp4.offsets(first))
        self.is_empty = not self._rest
        if not self.is_empty:
            self._init, _ = split_init(bytes(self._rest))

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return b""
            self._rest = memoryview(self._media(part))
        count = len(self._rest) if size < 0 else size
        piece, self._rest = bytes(self._rest[:count]), self._rest[count:]
        return piece

    def _media(self, part: bytes) -> bytes:
        init, media = split_init(part)
        if init != self._init:
            raise Unreadable("These segments are of several epochs; export each epoch to its own file.")
        self.offsets.extend(mp4.offsets(media))
        return media
