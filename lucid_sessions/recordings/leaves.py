"""What a ledger body says of one chunk, and the leaf that follows from it."""

from typing import Any
from uuid import UUID

from lucid_sessions import archive

from .models import Chunk


def facts_of(chunk: Chunk) -> dict[str, Any]:
    """The chunk as bodies list it; the leaf's hash can be computed from this alone."""
    return {
        "session": str(chunk.session_id),
        "track": chunk.track,
        "sequence": chunk.sequence,
        "blob": chunk.blob,
        "length": chunk.blob_length,
    }


def hash_of(leaf: dict[str, Any]) -> bytes:
    """The RFC 6962 leaf hash of a chunk as a body lists it."""
    return archive.chunk_leaf(
        session=UUID(leaf["session"]),
        track=leaf["track"],
        sequence=leaf["sequence"],
        blob_sha256=bytes.fromhex(leaf["blob"]),
        length=leaf["length"],
    )
