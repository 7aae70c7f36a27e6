"""The 232 bytes in front of a chunk, and what a reader may conclude from them: nothing but its claims."""

import struct
from dataclasses import dataclass
from typing import Final

from lucid_sessions.archive.compression import MAX_PLAIN
from lucid_sessions.errors import Refused, Tampered

MAGIC: Final = b"\x89LSC\r\n\x1a\n"  # not text, survives no newline conversion: as PNG does it
VERSION: Final = 1
SUITE: Final = 1
CODECS: Final = ("none", "zstd", "lz4", "gzip")  # a codec's number is its place here, for ever
FIXED: Final = struct.Struct(">8sBBBBI16s32sQQQQ8s8s8s")
HEADER: Final = 232  # fixed 120, sealed content key 80, key commitment 32
DIGEST: Final = 32
TAG: Final = 16
SIGNATURE: Final = 64
OVERHEAD: Final = HEADER + DIGEST + TAG + SIGNATURE
_ZERO: Final = bytes(8)


@dataclass(frozen=True)
class Header:
    """What a chunk says of itself. `blob_sha256` is set only when the signature has been checked."""

    codec: str
    repository: bytes
    binding: bytes
    sequence: int
    timestamp_ms: int
    plain_length: int
    inner_length: int
    session_key_id: bytes
    writer_key_id: bytes
    blob_sha256: bytes | None = None

    @property
    def blob_length(self) -> int:
        """The length of the whole chunk."""
        return HEADER + self.inner_length + TAG + SIGNATURE

    def to_bytes(self) -> bytes:
        """The first 120 bytes of the chunk; Refused if they would not describe one."""
        if self.codec not in CODECS:
            raise Refused(f"codec {self.codec!r} is unknown: use one of {', '.join(CODECS)}")
        problem = _bounds_problem(self.plain_length, self.inner_length, self.codec)
        if problem:
            raise Refused(problem)
        places = (self.repository, self.binding, self.sequence, self.timestamp_ms)
        lengths = (self.plain_length, self.inner_length)
        keys = (self.session_key_id, self.writer_key_id, _ZERO)
        codec = CODECS.index(self.codec)
        return FIXED.pack(MAGIC, VERSION, SUITE, codec, 0, HEADER, *places, *lengths, *keys)


def read_header(blob: bytes | bytearray | memoryview) -> Header:
    """What the chunk claims, unverified: for orphans and rebuilding. Its first 232 bytes are enough.

    Tampered: not an LSC1 chunk of a version that we know, or beyond its bounds.
    """
    if len(blob) < HEADER:
        raise Tampered(f"{len(blob)} bytes are too few for a chunk")
    (magic, version, suite, codec, flags, length, *rest, reserved) = FIXED.unpack_from(blob)
    if magic != MAGIC:
        raise Tampered("this is not a chunk: it does not begin with the LSC1 mark")
    if (version, suite, flags, length, reserved) != (VERSION, SUITE, 0, HEADER, _ZERO):
        raise Tampered("the chunk's version or a reserved field is not one that version 1 knows")
    if codec >= len(CODECS):
        raise Tampered(f"the chunk's codec {codec} is unknown")
    header = Header(CODECS[codec], *rest)
    problem = _bounds_problem(header.plain_length, header.inner_length, header.codec)
    if problem:
        raise Tampered(problem)
    return header


def _bounds_problem(plain: int, inner: int, codec: str) -> str | None:
    """Compression that made a chunk larger is not stored, so the plain length bounds everything."""
    if plain > MAX_PLAIN:
        return f"the chunk states {plain} bytes of content, over the limit of {MAX_PLAIN}"
    packed = inner - DIGEST
    if not 0 <= packed <= plain or (codec == "none" and packed != plain):
        return f"the chunk states {packed} packed bytes for {plain} bytes of content"
    return None
