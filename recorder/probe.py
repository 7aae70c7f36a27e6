"""Is this segment what it says? Looks at every packet, decodes the first frame."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.packet import Packet

from recorder import mp4
from recorder.errors import Unreadable


@dataclass(frozen=True)
class Probe:
    """What a segment holds; times are microseconds on the session's timeline, rounded as in its name.

    Sound has neither width nor height (0), and every packet of it is a key.
    """

    duration_us: int
    frames: int
    width: int
    height: int
    codec: str
    starts_with_key: bool
    start_us: int


def probe(segment: Path | bytes) -> Probe:
    """The facts of one fragmented MP4 segment; `Unreadable` unless its first packet can be decoded alone."""
    name = str(segment) if isinstance(segment, Path) else "the segment"
    content = _read(segment) if isinstance(segment, Path) else segment
    try:
        start, end, samples = _times(content)
        packets, found = _packets(content)
    except (FFmpegError, struct.error, IndexError, ValueError) as error:
        raise Unreadable(f"{name} cannot be decoded: {error}. {ADVICE}") from error
    if not packets or packets != samples or end <= start:
        raise Unreadable(f"{name} announces {samples} frames and holds {packets}. {ADVICE}")
    return Probe(end - start, packets, found.width, found.height, found.codec, found.key, start)


# Opening would decode the first frame, to learn its pixel format, and read megabytes, to learn the frame
# rate. The initialisation of an MP4 says enough, and `_decode` looks at the rest.
HASTE = {"skip_frame": "all", "probesize": "32768", "fpsprobesize": "0"}
ADVICE = "It is damaged or was cut off; keep it and look at it, and check the spool's disk."


@dataclass(frozen=True)
class _Found:
    width: int
    height: int
    codec: str
    key: bool


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(
            f"{path} cannot be read: {error.strerror}. Check that it exists and its mode."
        ) from error


def _times(content: bytes) -> tuple[int, int, int]:
    """(start, end, samples): microseconds, by the fragments' own decode times."""
    scale = mp4.timescale(content)
    pieces = list(mp4.fragments(content))
    if not scale or not pieces:
        raise ValueError("it has no initialisation or no fragment")
    start, end = pieces[0].base, pieces[-1].until
    return start * 1_000_000 // scale, end * 1_000_000 // scale, sum(piece.samples for piece in pieces)


def _packets(content: bytes) -> tuple[int, _Found]:
    with av.open(io.BytesIO(content), "r", format="mp4", options=HASTE) as container:
        streams = [stream for stream in container.streams if stream.type in ("video", "audio")]
        if not streams:
            raise ValueError("it has no picture and no sound")
        count, first = 0, None
        for packet in container.demux(streams[0]):
            if packet.size:
                count, first = count + 1, first or packet
        if first is None:
            raise ValueError("it has no packets")
        return count, _decode(first)


def _decode(packet: Packet[Any]) -> _Found:
    """Decode the first packet alone: a segment must not need its predecessor."""
    context = packet.stream.codec_context
    assert context is not None  # noqa: S101 -- streams of an opened container have one
    context.thread_count = 1
    frames = [*packet.stream.decode(packet), *packet.stream.decode(None)]
    if not frames:
        raise ValueError("its first frame cannot be decoded")
    width, height = getattr(context, "width", 0), getattr(context, "height", 0)
    return _Found(width or 0, height or 0, context.name, packet.is_keyframe)
