"""RFB's encodings of rectangles: raw, copied, zlib, and Tight without its lossy half."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from recorder.errors import SourceLost

if TYPE_CHECKING:
    from recorder.screen import Picture

RAW, COPY_RECTANGLE, ZLIB, TIGHT = 0, 1, 6, 7
ENCODINGS = (TIGHT, ZLIB, COPY_RECTANGLE, RAW)
LARGEST_PIECE = 1 << 26
_FILL, _JPEG = 8, 9
_COPY_FILTER, _PALETTE_FILTER, _GRADIENT_FILTER = 0, 1, 2
_TOO_SMALL_TO_COMPRESS = 12
Place = tuple[int, int, int, int]


def put(picture: Picture, place: Place, new: Picture) -> bool:
    """Write pixels into a picture; whether any of them is another than before."""
    x, y, width, height = place
    under = picture[y : y + height, x : x + width]
    if np.array_equal(under[..., :3], new[..., :3]):
        return False
    under[...] = new
    return True


def copy(picture: Picture, place: Place, *, source: tuple[int, int]) -> bool:
    """Copy a rectangle within a picture, which it may overlap; whether anything changed."""
    x, y = source
    _, _, width, height = place
    part = picture[y : y + height, x : x + width].copy()
    if part.shape[:2] != (height, width):
        raise SourceLost("The server copied pixels from outside of its desktop.")
    return put(picture, place, part)


class Decoder:
    """Reads rectangles of 4 bytes a pixel (blue, green, red, unused). Keeps the streams of zlib."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._zlib = zlib.decompressobj()
        self._tight = [zlib.decompressobj() for _ in range(4)]

    def decode(self, encoding: int, width: int, height: int) -> Picture:
        """The pixels of the rectangle that follows; `SourceLost` when it makes no sense."""
        try:
            return self._decode(encoding, width, height)
        except (zlib.error, ValueError, struct.error, IndexError) as error:
            raise SourceLost(f"The server sent pixels that cannot be read ({error}).") from error

    def _decode(self, encoding: int, width: int, height: int) -> Picture:
        if encoding == RAW:
            return _picture(self._read(width * height * 4), width, height)
        if encoding == ZLIB:
            (length,) = struct.unpack(">I", self._read(4))
            packed = self._read(_bounded(length))
            return _picture(_inflate(self._zlib, packed, width * height * 4), width, height)
        if encoding == TIGHT:
            return self._read_tight(width, height)
        raise ValueError(f"encoding {encoding} was not asked for")

    def _read_tight(self, width: int, height: int) -> Picture:
        control = self._read(1)[0]
        for number in range(4):
            if control >> number & 1:
                self._tight[number] = zlib.decompressobj()
        kind = control >> 4
        if kind == _FILL:
            colour = _padded(np.frombuffer(self._read(3), np.uint8).reshape(1, 1, 3))
            return np.broadcast_to(colour, (height, width, 4))
        if kind >= _JPEG:
            raise ValueError("a lossy picture, which was not asked for")
        chosen = self._read(1)[0] if kind & 4 else _COPY_FILTER
        return self._read_filtered(chosen, kind & 3, (width, height))

    def _read_filtered(self, chosen: int, stream: int, size: tuple[int, int]) -> Picture:
        width, height = size
        if chosen == _PALETTE_FILTER:
            colours = self._read(1)[0] + 1
            palette = _padded(np.frombuffer(self._read(colours * 3), np.uint8).reshape(1, colours, 3))[0]
            return palette[self._read_indices(colours, stream, size)]
        content = np.frombuffer(self._read_piece(stream, width * height * 3), np.uint8)
        plain = content.reshape(height, width, 3)
        if chosen == _GRADIENT_FILTER:
            plain = _undo_gradient(plain)
        elif chosen != _COPY_FILTER:
            raise ValueError(f"filter {chosen} is unknown")
        return _padded(plain)

    def _read_indices(self, colours: int, stream: int, size: tuple[int, int]) -> Picture:
        width, height = size
        if colours > 2:
            return np.frombuffer(self._read_piece(stream, width * height), np.uint8).reshape(height, width)
        row = (width + 7) // 8
        bits = np.frombuffer(self._read_piece(stream, row * height), np.uint8).reshape(height, row)
        return np.unpackbits(bits, axis=1)[:, :width]

    def _read_piece(self, stream: int, length: int) -> bytes:
        if length < _TOO_SMALL_TO_COMPRESS:
            return self._read(length)
        packed = self._read(_bounded(self._read_length()))
        return _inflate(self._tight[stream], packed, length)

    def _read_length(self) -> int:
        """One to three bytes, seven bits in each of the first two."""
        length = 0
        for shift in (0, 7, 14):
            byte = self._read(1)[0]
            length |= (byte if shift == 14 else byte & 0x7F) << shift
            if not byte & 0x80:
                break
        return length


def _picture(content: bytes, width: int, height: int) -> Picture:
    return np.frombuffer(content, np.uint8).reshape(height, width, 4)


def _padded(colours: Picture) -> Picture:
    """Red, green, blue, as Tight has them, in the order of the picture."""
    out = np.zeros((*colours.shape[:2], 4), np.uint8)
    out[..., :3] = colours[..., ::-1]
    return out


def _undo_gradient(differences: Picture) -> Picture:
    """Each pixel was sent as its difference from left + above - above left, within 0 to 255."""
    height, width = differences.shape[:2]
    out = np.zeros((height + 1, width + 1, 3), np.int32)
    for y in range(height):
        for x in range(width):
            guess = (out[y + 1, x] + out[y, x + 1] - out[y, x]).clip(0, 255)
            out[y + 1, x + 1] = (differences[y, x] + guess) & 255
    return out[1:, 1:].astype(np.uint8)


def _inflate(stream: zlib._Decompress, packed: bytes, length: int) -> bytes:
    """Exactly this many bytes, whatever the stream would like to become."""
    content = stream.decompress(packed, max(1, length))  # 0 would mean: however much it becomes
    if len(content) != length:
        raise ValueError(f"{len(content)} bytes instead of {length}")
    while stream.unconsumed_tail:
        if stream.decompress(stream.unconsumed_tail, 1):
            raise ValueError("more bytes than pixels")
    return content


def _bounded(length: int) -> int:
    if length > LARGEST_PIECE:
        raise ValueError(f"a piece of {length} bytes")
    return length
