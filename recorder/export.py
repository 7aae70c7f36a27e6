"""One epoch of a recording as an ordinary MP4 file: the same packets, never encoded again."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from recorder import durable, mp4
from recorder.clock import us_of
from recorder.errors import Unreadable
from recorder.spool import unwritable

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream


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


def write_mp4(out: Path, parts: Iterable[bytes]) -> Exported:
    """Write segments of one track and epoch, in order, as one MP4 that begins at zero and can be streamed.

    Every packet keeps its bytes and exact duration. The file appears whole under its name, or not at all.
    `Unreadable` when the parts are of different epochs, damaged or none; a full disk is `DiskFull`.
    """
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        exported = _copy(temporary, parts)
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


def _copy(temporary: Path, parts: Iterable[bytes]) -> Exported:
    chain = _Chain(parts)
    if chain.is_empty:
        raise Unreadable("There is nothing to export: the epoch has no segments. Verify the recording.")
    with av.open(chain, "r", format="mp4") as source:
        time_base = Fraction(source.streams[0].time_base or 1)
        options = {"movflags": "faststart", "video_track_timescale": str(time_base.denominator)}
        with av.open(str(temporary), "w", format="mp4", options=options) as target:
            return _copy_packets(source, target)


def _copy_packets(source: InputContainer, target: OutputContainer) -> Exported:
    stream = target.add_stream_from_template(source.streams[0])
    stream.time_base = source.streams[0].time_base
    frames, begin, end, first_pts = 0, 0, 0, 0
    for packet in _exact(source):
        if packet.dts is None or packet.pts is None:
            raise Unreadable("A packet has no time; the segment is damaged. Verify the recording.")
        if not frames:
            begin, first_pts = packet.dts, packet.pts
        frames, end = frames + 1, packet.dts + (packet.duration or 0)
        _mux(target, stream, packet, shift=first_pts)
    if not frames:
        raise Unreadable("There is nothing to export: the epoch has no frames.")
    scale = Fraction(1) / Fraction(source.streams[0].time_base or 1)
    return Exported(frames, us_of(end - begin, int(scale)))


def _mux(target: OutputContainer, stream: Stream, packet: Packet[Any], *, shift: int) -> None:
    packet.dts, packet.pts = (packet.dts or 0) - shift, (packet.pts or 0) - shift
    packet.stream = stream
    target.mux_one(packet)


def _exact(source: InputContainer) -> Iterator[Packet[Any]]:
    """Packets in decode order; each lasts exactly until the next, the last as long as its segment says."""
    held: Packet[Any] | None = None
    for packet in source.demux(source.streams[0]):
        if not packet.size:
            continue
        if held is not None:
            held.duration = (packet.dts or 0) - (held.dts or 0)
            yield held
        held = packet
    if held is not None:
        yield held


class _Chain(io.RawIOBase):
    """Reads one initialisation and the media of all parts, one part in memory at a time."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._init = b""
        self._rest = memoryview(next(self._parts, b""))
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
        return media
