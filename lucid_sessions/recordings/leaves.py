"""What a ledger body says of one chunk, and the leaf that follows from it."""

from typing import Any, NamedTuple
from uuid import UUID

from lucid_sessions import archive

from .models import Chunk


class Row(NamedTuple):
    """A chunk's row, where a whole session is looked at: a quarter of what all of it takes in memory."""

    pk: UUID
    session_id: UUID
    track: str
    sequence: int
    blob: str
    blob_length: int
    record: int | None
    start_us: int
    end_us: int


def facts_of(chunk: Chunk | Row) -> dict[str, Any]:
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
