"""Reading the boxes of fragmented MP4 (ISO/IEC 14496-12): as much as the recorder needs, nothing more."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINERS = {b"moof", b"traf", b"moov", b"trak", b"mdia", b"mvex"}
_U32, _U64, _I32 = struct.Struct(">I"), struct.Struct(">Q"), struct.Struct(">i")
_TRUN_FIELDS = (0x100, 0x200, 0x400, 0x800)  # duration, size, flags, composition offset: 4 bytes each


@dataclass(frozen=True)
class Box:
    """One box: its type, where it begins, where its content begins, where it ends."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True)
class Fragment:
    """One moof/mdat pair: decode time and length in ticks of the track's timescale, samples, end in bytes."""

    base: int
    duration: int
    samples: int
    end: int

    @property
    def until(self) -> int:
        """The decode time at which the next fragment begins."""
        return self.base + self.duration


def boxes(buffer: bytes | bytearray, *, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The complete boxes side by side in a buffer; stops quietly at the first that is cut off."""
    limit = len(buffer) if end is None else end
    while start + 8 <= limit:
        length, kind = struct.unpack_from(">I4s", buffer, start)
        body = start + 8
        if length == 1 and start + 16 <= limit:
            length, body = _U64.unpack_from(buffer, start + 8)[0], start + 16
        if length < body - start or start + length > limit:
            return
        yield Box(kind, start, body, start + length)
        start += length


def walk(buffer: bytes | bytearray, box: Box) -> Iterator[Box]:
    """All boxes inside a box, depth first."""
    for child in boxes(buffer, start=box.body, end=box.end):
        yield child
        if child.kind in _CONTAINERS:
            yield from walk(buffer, child)


def init_length(buffer: bytes | bytearray) -> int:
    """How many bytes of a segment are its initialisation (ftyp, moov); 0 when it has none."""
    return next((box.end for box in boxes(buffer) if box.kind == b"moov"), 0)


def timescale(init: bytes | bytearray) -> int:
    """Ticks a second of the first track; 0 when there is none."""
    moov = next((box for box in boxes(init) if box.kind == b"moov"), None)
    mdhd = next((box for box in walk(init, moov) if box.kind == b"mdhd"), None) if moov else None
    if mdhd is None:
        return 0
    return int(_U32.unpack_from(init, mdhd.body + (20 if init[mdhd.body] else 12))[0])


def fragments(buffer: bytes | bytearray) -> Iterator[Fragment]:
    """The complete fragments of a segment, in order; a torn tail is not among them."""
    moof: Box | None = None
    for box in boxes(buffer):
        if box.kind == b"moof":
            moof = box
        elif box.kind == b"mdat" and moof is not None:
            yield fragment_of(buffer, moof, end=box.end)
            moof = None


def offsets(buffer: bytes | bytearray) -> list[int]:
    """By how much later than it is decoded each sample of a segment is shown, in ticks; may be negative."""
    found: list[int] = []
    for moof in (box for box in boxes(buffer) if box.kind == b"moof"):
        for box in walk(buffer, moof):
            if box.kind == b"trun":
                found += _offsets(buffer, box)
    return found


def fragment_of(buffer: bytes | bytearray, moof: Box, *, end: int) -> Fragment:
    """What a moof says of the samples that follow it (one track)."""
    base = duration = samples = default = 0
    for box in walk(buffer, moof):
        if box.kind == b"tfhd":
            default = _default_duration(buffer, box)
        elif box.kind == b"tfdt":
            wide = buffer[box.body] == 1
            base = (_U64 if wide else _U32).unpack_from(buffer, box.body + 4)[0]
        elif box.kind == b"trun":
            lengths = _durations(buffer, box, default)
            duration, samples = duration + sum(lengths), samples + len(lengths)
    return Fragment(base, duration, samples, end)


def _default_duration(buffer: bytes | bytearray, tfhd: Box) -> int:
    flags = _U32.unpack_from(buffer, tfhd.body)[0]
    place = tfhd.body + 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
    return int(_U32.unpack_from(buffer, place)[0]) if flags & 8 else 0


def _durations(buffer: bytes | bytearray, trun: Box, default: int) -> list[int]:
    flags, count, place, stride = _samples(buffer, trun)
    if not flags & 0x100:
        return [default] * count
    return [int(_U32.unpack_from(buffer, place + index * stride)[0]) for index in range(count)]


def _offsets(buffer: bytes | bytearray, trun: Box) -> list[int]:
    flags, count, place, stride = _samples(buffer, trun)
    if not flags & 0x800:
        return [0] * count
    return [int(_I32.unpack_from(buffer, place + stride - 4 + index * stride)[0]) for index in range(count)]


def _samples(buffer: bytes | bytearray, trun: Box) -> tuple[int, int, int, int]:
    """What a trun says of each sample (flags), of how many, where it begins, and bytes for each."""
    flags, count = struct.unpack_from(">II", buffer, trun.body)
    place = trun.body + 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    return flags, count, place, sum(4 for field in _TRUN_FIELDS if flags & field)
