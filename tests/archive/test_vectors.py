"""What was published opens for ever: every file in tests/vectors/archive, in our reader and in another."""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lucid_sessions.archive import (
    Identity,
    LogKey,
    Place,
    Statement,
    chunk_leaf,
    key_id,
    leaf_hash,
    open_blob,
    open_checkpoint,
    open_slot,
    read_header,
    unseal_session_key,
    verify_consistency,
    verify_inclusion,
)
from tests.archive import independent_reader as independent

DIRECTORY = Path(__file__).parent.parent / "vectors" / "archive"
FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("*.json"))}
CHUNKS = [(file, chunk) for file in FILES.values() for chunk in file.get("chunks", [])]
SLOTS = [(file, slot) for file in FILES.values() for slot in file.get("slots", [])]
STATEMENTS = [file for file in FILES.values() if "statement" in file]
CHECKPOINTS = [(file, point) for file in FILES.values() for point in file.get("checkpoints", [])]
Vector = dict[str, Any]
unhex = bytes.fromhex


def test_the_published_vectors_are_all_here() -> None:
    assert set(FILES) >= {"chunks-1", "keys-1", "log-1"}
    assert {chunk["codec"] for _, chunk in CHUNKS} == {"none", "zstd", "lz4", "gzip"}


@pytest.mark.parametrize(("file", "chunk"), CHUNKS)
def test_a_published_chunk_opens(file: Vector, chunk: Vector) -> None:
    place = Place(unhex(file["repository"]), UUID(file["session"]), chunk["track"], chunk["sequence"])
    writers = {key_id(unhex(file["writer_public"])): unhex(file["writer_public"])}
    blob = unhex(chunk["blob"])
    identity = Identity.from_private(unhex(file["session_private"]))
    assert open_blob(blob, place=place, identity=identity, writers=writers).hex() == chunk["content"]
    header = read_header(blob)
    assert (header.codec, header.timestamp_ms) == (chunk["codec"], chunk["timestamp_ms"])
    stored = {"blob_sha256": hashlib.sha256(blob).digest(), "length": len(blob)}
    leaf = chunk_leaf(session=place.session, track=place.track, sequence=place.sequence, **stored)
    assert leaf.hex() == chunk["leaf"]


@pytest.mark.parametrize(("file", "chunk"), CHUNKS)
def test_the_independent_reader_opens_a_published_chunk(file: Vector, chunk: Vector) -> None:
    writer = unhex(file["writer_public"])
    expected = independent.Expected(
        repository=unhex(file["repository"]),
        session=unhex(file["session"]),
        track=chunk["track"],
        sequence=chunk["sequence"],
        writers={independent.key_id(writer): writer},
    )
    blob, private = unhex(chunk["blob"]), unhex(file["session_private"])
    assert independent.open_chunk(blob, expected, session_private=private).hex() == chunk["content"]
    assert independent.chunk_leaf(expected, blob).hex() == chunk["leaf"]


@pytest.mark.parametrize(("file", "slot"), SLOTS)
def test_a_published_key_slot_opens_in_both_readers(file: Vector, slot: Vector) -> None:
    words = {"password": slot["password"].encode(), "salt": slot["salt"].encode()}
    repository = unhex(file["repository"])
    ours = open_slot(unhex(slot["slot"]), **words, repository=repository).private_bytes
    theirs = independent.open_slot(unhex(slot["slot"]), **words, repository=repository)
    assert ours.hex() == theirs.hex() == file["repository_private"]


@pytest.mark.parametrize("file", STATEMENTS)
def test_a_published_session_key_opens_in_both_readers(file: Vector) -> None:
    statement = Statement.from_bytes(unhex(file["statement"]))
    statement.verify(unhex(file["creator_public"]))
    assert (statement.session, statement.track) == (UUID(file["session"]), file["track"])
    sealed, private = unhex(file["sealed_session_key"]), unhex(file["repository_private"])
    ours = unseal_session_key(sealed, statement=statement, by=Identity.from_private(private))
    said = independent.read_statement(unhex(file["statement"]), creator=unhex(file["creator_public"]))
    theirs = independent.open_session_key(sealed, said, repository_private=private)
    assert ours.private_bytes.hex() == theirs.hex() == file["session_private"]


@pytest.mark.parametrize(("file", "point"), CHECKPOINTS)
def test_a_published_checkpoint_and_its_proofs_hold(file: Vector, point: Vector) -> None:
    checkpoint = open_checkpoint(point["note"], file["vkey"])
    size, root = point["size"], unhex(point["root"])
    assert (checkpoint.size, checkpoint.root) == (size, root)
    theirs = independent.read_checkpoint(point["note"], vkey=file["vkey"])
    assert theirs == (checkpoint.origin, size, root)
    for index, proof in enumerate(point["inclusion"]):
        leaf = leaf_hash(file["entries"][index].encode())
        verify_inclusion(leaf, index=index, size=size, proof=[unhex(h) for h in proof], root=root)
    roots = {str(other["size"]): unhex(other["root"]) for other in file["checkpoints"]}
    for old, proof in point["consistency"].items():
        sizes = {"old_size": int(old), "old_root": roots[old], "new_size": size, "new_root": root}
        verify_consistency(**sizes, proof=[unhex(h) for h in proof])


def test_the_published_log_key_still_has_its_verifier_key() -> None:
    for file in FILES.values():
        if "vkey" in file:
            origin = file["vkey"].split("+")[0]
            assert LogKey.from_private(origin, unhex(file["log_private"])).vkey == file["vkey"]
