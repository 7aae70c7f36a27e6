"""Makes tests/vectors/archive/*.json: run once per format version, then never again.

    python -m tests.vectors.make_archive_vectors

A file that exists is left alone, because a published vector must open for ever.
"""

import hashlib
import json
from pathlib import Path
from uuid import UUID

from lucid_sessions.archive import (
    Checkpoint,
    Identity,
    LogKey,
    Place,
    SlotCost,
    Statement,
    Writer,
    chunk_leaf,
    compress,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    make_slot,
    merkle_root,
    seal,
    seal_session_key,
    sign_checkpoint,
)

DIRECTORY = Path(__file__).parent / "archive"
REPOSITORY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
SESSION = UUID("5e551001-0000-4000-8000-000000000001")
REPOSITORY_KEY = Identity.from_private(bytes([0x11]) * 32)
SESSION_KEY = Identity.from_private(bytes([0x22]) * 32)
WRITER = Writer.from_private(bytes([0x33]) * 32)
CREATOR = Writer.from_private(bytes([0x44]) * 32)
LOG = LogKey.from_private("vectors.example/log", bytes([0x55]) * 32)
TEXT = b'{"t":1200000,"kind":"key","key":"masked"}\n' * 12
MEDIA = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(8))


def chunks() -> dict[str, object]:
    """Every codec, an empty content, and the ends of the sequence."""
    wanted = [
        ("none", MEDIA, "screen", (1 << 32) + 1),
        ("zstd", TEXT, "input", (1 << 32) + 2),
        ("lz4", TEXT, "input", (2 << 32) + 1),
        ("gzip", TEXT, "thumb", 0),
        ("none", b"", "a", (1 << 64) - 1),
    ]
    return {
        "format": "LSC1 version 1 suite 1",
        "repository": REPOSITORY.hex(),
        "session": SESSION.hex,
        "session_private": SESSION_KEY.private_bytes.hex(),
        "writer_public": WRITER.public.hex(),
        "chunks": [_chunk(*one) for one in wanted],
    }


def _chunk(want: str, content: bytes, track: str, sequence: int) -> dict[str, object]:
    packed = compress(content, want=want)
    place = Place(REPOSITORY, SESSION, track, sequence)
    at = 1_790_000_000_000
    blob = seal(packed, place=place, timestamp_ms=at, recipient=SESSION_KEY.recipient, writer=WRITER)
    sha256 = hashlib.sha256(blob).digest()
    leaf = chunk_leaf(session=SESSION, track=track, sequence=sequence, blob_sha256=sha256, length=len(blob))
    where = {"track": track, "sequence": sequence, "timestamp_ms": at, "codec": packed.codec}
    return where | {"content": content.hex(), "leaf": leaf.hex(), "blob": blob.hex()}


def keys() -> dict[str, object]:
    """Key slots, a session statement and its sealed session key."""
    public = SESSION_KEY.recipient.public
    statement = Statement(REPOSITORY, SESSION, "screen", public).sign(CREATOR)
    sealed = seal_session_key(SESSION_KEY, statement=statement, to=REPOSITORY_KEY.recipient)
    return {
        "format": "LSK1 version 1, LSS1 version 1",
        "repository": REPOSITORY.hex(),
        "session": SESSION.hex,
        "track": "screen",
        "repository_private": REPOSITORY_KEY.private_bytes.hex(),
        "session_private": SESSION_KEY.private_bytes.hex(),
        "creator_public": CREATOR.public.hex(),
        "statement": statement.to_bytes().hex(),
        "sealed_session_key": sealed.hex(),
        "slots": [_slot("correct horse", "a second secret"), _slot("pässword", "")],
    }


def _slot(password: str, salt: str) -> dict[str, object]:
    words = {"password": password.encode(), "salt": salt.encode()}
    cost = SlotCost(memory_kib=64 << 10, passes=1, lanes=16)
    slot = make_slot(REPOSITORY_KEY, **words, repository=REPOSITORY, cost=cost)
    return {"password": password, "salt": salt, "slot": slot.hex()}


def log() -> dict[str, object]:
    """Checkpoints of a growing log, and proofs in and between them."""
    entries = [b'{"index":%d,"kind":"audit"}' % number for number in range(13)]
    leaves = [leaf_hash(entry) for entry in entries]
    sizes = [0, 1, 2, 5, 8, 13]
    roots = {size: merkle_root(leaves[:size]) for size in sizes}
    return {
        "format": "C2SP tlog-checkpoint, RFC 6962 SHA-256",
        "log_private": LOG.private_bytes.hex(),
        "vkey": LOG.vkey,
        "entries": [entry.decode() for entry in entries],
        "checkpoints": [
            {
                "size": size,
                "root": roots[size].hex(),
                "note": sign_checkpoint(Checkpoint(LOG.origin, size, roots[size]), LOG),
                "inclusion": [[h.hex() for h in inclusion_proof(leaves[:size], i)] for i in range(size)],
                "consistency": {
                    str(old): [h.hex() for h in consistency_proof(leaves, old, size)]
                    for old in sizes
                    if old <= size
                },
            }
            for size in sizes
        ],
    }


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for name, make in (("chunks-1", chunks), ("keys-1", keys), ("log-1", log)):
        path = DIRECTORY / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
