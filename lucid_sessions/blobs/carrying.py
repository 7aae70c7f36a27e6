"""One blob from any store to any other, verified on both sides."""

import errno
from contextlib import suppress

from lucid_sessions.blobs.names import blob_name
from lucid_sessions.blobs.store import Blobs
from lucid_sessions.errors import Retryable, Tampered

# What a file system says of one file that it cannot give, while others beside it are well.
_OF_ONE_FILE = (
    errno.EIO,
    errno.EBADMSG,
    errno.EUCLEAN,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENXIO,
    errno.EACCES,
    errno.EPERM,
)


def read(name: str, *, source: Blobs) -> bytes:
    """The stored bytes, unverified; Tampered also when the store is there and cannot give just this blob."""
    try:
        return source.get(name)
    except Retryable as error:
        if is_unreadable(error) and source.present():
            raise Tampered(f"the blob cannot be read: {error}") from error
        raise


def is_unreadable(error: Retryable) -> bool:
    """True when a file system said it of one file alone that it cannot give."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _OF_ONE_FILE


def carry(name: str, *, source: Blobs, target: Blobs) -> tuple[int, bool]:
    """Its length, and whether it was written now; Tampered when the source has not the right bytes.

    Nothing is read that is there and right. Nothing is deleted: another may have carried the same blob by
    now, and have removed it from the source.
    """
    with suppress(Tampered):
        return target.check(name), False
    try:
        content = read(name, source=source)
    except Tampered:
        with suppress(Tampered):
            return target.check(name), False  # it went there since we looked
        raise
    if blob_name(content) != name:
        raise Tampered(f"blob {name} in {source.place} holds other bytes than its name says")
    try:
        target.put(content, name=name)
    except Tampered:
        target.replace(content, name=name)  # rotten there
    return len(content), True
