"""What a blob is called, and what is said when the store itself is not there."""

import hashlib
import re

from lucid_sessions import archive
from lucid_sessions.errors import Refused, Retryable, Tampered

# Says that this place is the store. The empty mount point of a disk that is not mounted has none:
# without it we would fill the wrong disk, and call every blob lost.
MARKER = "lucid-blobs"
# The largest that the archive's format allows. What is longer was put there by somebody else.
MOST_BYTES = archive.OVERHEAD + archive.MAX_PLAIN
_NAME = re.compile(r"[0-9a-f]{64}")


class Missing(Retryable):
    """The store is not there (not mounted, or never created); nothing can be said about its blobs."""


def blob_name(data: bytes | bytearray | memoryview) -> str:
    """The name of these bytes: their SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def is_blob_name(text: str) -> bool:
    """True for 64 lower-case hexadecimal digits."""
    return _NAME.fullmatch(text) is not None


def checked_name(name: str) -> str:
    """The same name; Refused if it could not be one, so that no name ever leads out of the store."""
    if not is_blob_name(name):
        raise Refused(f"{name!r} is no blob name: 64 lower-case hexadecimal digits were expected")
    return name


def too_long(place: object) -> Tampered:
    """What to raise for a blob of more than MOST_BYTES, before it takes memory."""
    return Tampered(f"{place} is longer than any blob, {MOST_BYTES} bytes: restore it from a backup")
