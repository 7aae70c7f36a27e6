"""Where a chunk belongs: the repository, session, track and sequence that it is bound to for ever."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from lucid_sessions.errors import Refused

# Lower case and no separators: tracks stand in file names and, before a zero byte, in leaves.
_TRACK = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_U64 = 1 << 64


def check_track(track: str) -> bytes:
    """The track's name in ASCII; Refused unless it is 1 to 32 of a-z, 0-9 and inner hyphens."""
    if not isinstance(track, str) or not _TRACK.fullmatch(track):
        raise Refused(f"track {track!r} is not a name of 1 to 32 characters a-z, 0-9 and -")
    return track.encode("ascii")


def check_bytes(value: bytes, length: int, *, what: str) -> bytes:
    """The value as bytes; Refused unless it is bytes of exactly that length."""
    if not isinstance(value, bytes | bytearray | memoryview) or len(value) != length:
        raise Refused(f"{what} must be {length} bytes")
    return bytes(value)


def check_u64(value: int, *, what: str) -> int:
    """The value; Refused unless it fits 64 bits unsigned."""
    if not isinstance(value, int) or not 0 <= value < _U64:
        raise Refused(f"{what} must be a whole number from 0 to 2^64 - 1, not {value!r}")
    return value


def session_binding(session: UUID, track: str) -> bytes:
    """The 32 bytes that stand for a session and track in chunks and sealed keys, naming neither."""
    label = b"lucid/1 session\0"
    return hashlib.sha256(label + session.bytes + check_track(track)).digest()


@dataclass(frozen=True)
class Place:
    """One chunk's address: repository (16 bytes), session, track, and sequence (u64) within the track."""

    repository: bytes
    session: UUID
    track: str
    sequence: int

    def __post_init__(self) -> None:
        check_bytes(self.repository, 16, what="a repository id")
        check_track(self.track)
        check_u64(self.sequence, what="a sequence")

    @cached_property
    def binding(self) -> bytes:
        """SHA-256 over the session and the track (32 bytes)."""
        return session_binding(self.session, self.track)

    def __str__(self) -> str:
        return f"chunk {self.sequence} of track {self.track}, session {self.session}"
