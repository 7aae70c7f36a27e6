"""One blob from any store to any other, verified on both sides."""

from lucid_sessions.blobs.names import blob_name
from lucid_sessions.blobs.store import Blobs
from lucid_sessions.errors import Tampered


def carry(name: str, *, source: Blobs, target: Blobs) -> tuple[int, bool]:
    """Its length, and whether it was written now; Tampered when the source has not the right bytes.

    Nothing is read that is there and right. Nothing is deleted: another may have carried the same blob by
    now, and have removed it from the source.
    """
    try:
        return target.check(name), False
    except Tampered:
        pass
    content = source.get(name)
    if blob_name(content) != name:
        raise Tampered(f"blob {name} in {source.place} holds other bytes than its name says")
    try:
        target.put(content, name=name)
    except Tampered:
        target.replace(content, name=name)  # rotten there
    return len(content), True
