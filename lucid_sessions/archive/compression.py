"""Choose a codec by content, compress, and expand without believing the compressed bytes."""

import hashlib
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import lz4.frame  # type: ignore[import-untyped, unused-ignore]
import zstandard

from lucid_sessions.errors import Refused, Tampered

Bytes = bytes | bytearray | memoryview

MAX_PLAIN: Final = 64 << 20
"""The most that one chunk may hold before compression."""
MAX_WINDOW: Final = MAX_PLAIN  # a larger zstd window could not be filled, so asking for one is a lie
ZSTD_LEVEL: Final = 1  # level 3 costs video 3x the time for 6 % [measured]
GZIP_LEVEL: Final = 6
_SAMPLE: Final = 64 << 10
_PAYS: Final = 20  # compression pays if it saves one part in this many: less costs more time than disk

_local = threading.local()  # zstd contexts are costly to make and not safe to share between threads


@dataclass(frozen=True)
class Packed:
    """A chunk's content, compressed and not yet sealed; length and SHA-256 are those of the raw content."""

    codec: str
    raw_length: int
    raw_sha256: bytes
    payload: Bytes = field(repr=False)


def compress(raw: Bytes, *, want: str = "zstd", raw_sha256: bytes | None = None) -> Packed:
    """The content packed with the codec that was asked for, or with `none` when that does not pay.

    `want` is none, zstd, lz4 or gzip. Media that is compressed already is recognised by samples, so it
    costs next to nothing. With `none`, the payload is `raw` itself, not a copy. Refused: more than 64 MiB,
    or an unknown codec. `raw_sha256` is the content's SHA-256 where the caller has just computed it.
    """
    view = memoryview(raw).cast("B")
    if len(view) > MAX_PLAIN:
        raise Refused(f"a chunk of {len(view)} bytes is over the limit of {MAX_PLAIN}: cut it shorter")
    if want not in _SHRINK:
        raise Refused(f"compression {want!r} is unknown: use one of {', '.join(_SHRINK)}")
    digest = raw_sha256 or hashlib.sha256(view).digest()
    if want != "none" and _looks_compressible(view, want=want):
        payload = _SHRINK[want](view)
        if _pays(len(view), len(payload)):
            return Packed(want, len(view), digest, payload)
    return Packed("none", len(view), digest, raw)


def expand(packed: Packed) -> bytes:
    """The content, whole and equal to its SHA-256; never more memory than the stated length asks for.

    Tampered: anything else, such as another length, another digest, or bytes after the end.
    """
    if packed.codec not in _GROW:
        raise Tampered(f"codec {packed.codec!r} is unknown")
    if not 0 <= packed.raw_length <= MAX_PLAIN:
        raise Tampered(f"a content of {packed.raw_length} bytes is over the limit of {MAX_PLAIN}")
    raw = _GROW[packed.codec](memoryview(packed.payload).cast("B"), packed.raw_length)
    if len(raw) != packed.raw_length:
        raise Tampered(f"the content expands to another length than the {packed.raw_length} bytes stated")
    if hashlib.sha256(raw).digest() != packed.raw_sha256:
        raise Tampered("the content's SHA-256 is not the one stated")
    return raw


def _pays(before: int, after: int) -> bool:
    return before - after >= max(1, before // _PAYS)


def _looks_compressible(view: memoryview, *, want: str) -> bool:
    if len(view) <= 4 * _SAMPLE:
        return True  # as cheap to try as to sample
    sizes = [(len(sample), len(_SHRINK[want](sample))) for sample in _samples(view)]
    return _pays(sum(before for before, _ in sizes), sum(after for _, after in sizes))


def _samples(view: memoryview) -> Iterator[memoryview]:
    for start in (0, (len(view) - _SAMPLE) // 2, len(view) - _SAMPLE):
        yield view[start : start + _SAMPLE]


def _shrink_none(view: memoryview) -> bytes:
    return bytes(view)


def _shrink_zstd(view: memoryview) -> bytes:
    if not hasattr(_local, "shrink"):
        _local.shrink = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_content_size=True)
    compressed: bytes = _local.shrink.compress(view)
    return compressed


def _shrink_lz4(view: memoryview) -> bytes:
    compressed: bytes = lz4.frame.compress(view, store_size=True)
    return compressed


def _shrink_gzip(view: memoryview) -> bytes:
    # zlib writes no name and no time into the gzip header, so equal content gives equal bytes.
    shrink = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    return shrink.compress(view) + shrink.flush()


def _grow_none(view: memoryview, length: int) -> bytes:
    if len(view) != length:
        raise Tampered(f"the content is {len(view)} bytes, not the {length} stated")
    return bytes(view)


def _grow_zstd(view: memoryview, length: int) -> bytes:
    try:
        # zstandard sizes its buffer by the frame and not by max_output_size: check the frame first. After
        # that the buffer is exactly `length`, and a frame that goes on beyond it is an error in libzstd.
        frame = zstandard.get_frame_parameters(view[:18])
        if frame.content_size != length or frame.window_size > MAX_WINDOW:
            raise Tampered(f"the zstd frame states another size than {length} bytes, or an oversized window")
        if not hasattr(_local, "grow"):
            _local.grow = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        raw: bytes = _local.grow.decompress(view, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Tampered(f"the zstd frame is damaged: {error}") from error
    return raw


def _grow_lz4(view: memoryview, length: int) -> bytes:
    try:
        if lz4.frame.get_frame_info(view[:19])["content_size"] != length:
            raise Tampered(f"the lz4 frame states another size than {length} bytes")
        if view[4] & 1:
            raise Tampered("the lz4 frame wants a dictionary, which chunks have none of")
        frame = lz4.frame.LZ4FrameDecompressor()
        raw: bytes = frame.decompress(view, max_length=length + 1)
    except (RuntimeError, ValueError) as error:
        raise Tampered(f"the lz4 frame is damaged: {error}") from error
    if not frame.eof or frame.unused_data:
        raise Tampered("the lz4 frame does not end where the content ends")
    return raw


def _grow_gzip(view: memoryview, length: int) -> bytes:
    member = zlib.decompressobj(31)
    try:
        raw = member.decompress(view, length + 1)  # one more, so that the trailer is read and checked too
    except zlib.error as error:
        raise Tampered(f"the gzip member is damaged: {error}") from error
    if not member.eof or member.unused_data:
        raise Tampered("the gzip member does not end where the content ends")
    return raw


_SHRINK: Final[dict[str, Callable[[memoryview], bytes]]] = {
    "none": _shrink_none,
    "zstd": _shrink_zstd,
    "lz4": _shrink_lz4,
    "gzip": _shrink_gzip,
}
_GROW: Final[dict[str, Callable[[memoryview, int], bytes]]] = {
    "none": _grow_none,
    "zstd": _grow_zstd,
    "lz4": _grow_lz4,
    "gzip": _grow_gzip,
}
