"""Somebody who has only docs/archive-format.md reads what we write, and refuses what we refuse."""

import ast
from pathlib import Path

import pytest

from lucid_sessions.archive import Identity, Statement, Writer, make_slot, seal_session_key
from tests.archive import argon2id, independent_reader
from tests.archive.forging import Lie, forge
from tests.archive.independent_reader import Bad, Expected, open_chunk, verify_chunk
from tests.archive.parts import PLACE, REPOSITORY, SESSION, Scene, SlotCost, noise

RAW = [b"", b"x", b"desktop " * 5000, noise(70_000), bytes(400_000)]


def expected(scene: Scene) -> Expected:
    place = scene.place
    return Expected(place.repository, place.session.bytes, place.track, place.sequence, scene.writers)


def test_it_shares_no_code_with_us() -> None:
    for module in (independent_reader, argon2id):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
        assert not [name for name in names if name.startswith(("lucid_sessions", "cryptography"))]


@pytest.mark.parametrize("want", ["none", "zstd", "lz4", "gzip"])
@pytest.mark.parametrize("raw", RAW, ids=len)
def test_it_opens_what_we_seal_now(raw: bytes, want: str) -> None:
    scene = Scene(identity=Identity.generate(), writer=Writer.generate())
    blob = scene.seal(raw, want=want)
    assert open_chunk(blob, expected(scene), session_private=scene.identity.private_bytes) == raw


def test_it_refuses_every_flipped_bit_that_we_refuse() -> None:
    scene = Scene()
    blob = scene.seal(b"x")
    for bit in range(0, len(blob) * 8, 7):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Bad):
            verify_chunk(bytes(changed), expected(scene))


@pytest.mark.parametrize(
    "change",
    [
        {"plain_length": 8},
        {"inner_length": 38},
        {"codec": 1},
        {"codec": 2},
        {"codec": 3},
        {"digest": bytes(32)},
        {"commitment": bytes(32)},
    ],
    ids=str,
)
def test_it_refuses_an_insiders_lies(change: dict[str, object]) -> None:
    scene = Scene()
    blob = forge(Lie(packed=b"content", content=b"content").but(**change), scene)
    with pytest.raises(Bad):
        open_chunk(blob, expected(scene), session_private=scene.identity.private_bytes)


def test_it_refuses_a_chunk_from_another_place_and_another_key() -> None:
    blob = Scene().seal(b"x")
    with pytest.raises(Bad, match="sequence"):
        verify_chunk(blob, expected(Scene().elsewhere(sequence=1)))
    with pytest.raises(Bad, match="session key"):
        open_chunk(blob, expected(Scene()), session_private=bytes([1]) * 32)


def test_its_argon2id_is_that_of_rfc_9106() -> None:
    """The test vector of section 5.3."""
    words = {"salt": bytes([2]) * 16, "secret": bytes([3]) * 8, "ad": bytes([4]) * 12}
    tag = argon2id.argon2id(bytes([1]) * 32, memory=32, passes=3, lanes=4, **words)
    assert tag.hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


def test_it_opens_a_key_slot_and_a_session_key_that_we_make_now() -> None:
    repository, session, creator = Identity.generate(), Identity.generate(), Writer.generate()
    words = {"password": b"pw", "salt": b"salt", "repository": REPOSITORY}
    slot = make_slot(repository, **words, cost=SlotCost(memory_kib=64 << 10, passes=1, lanes=16))
    private = independent_reader.open_slot(slot, **words)
    statement = Statement(REPOSITORY, SESSION, PLACE.track, session.recipient.public).sign(creator)
    said = independent_reader.read_statement(statement.to_bytes(), creator=creator.public)
    sealed = seal_session_key(session, statement=statement, to=repository.recipient)
    opened = independent_reader.open_session_key(sealed, said, repository_private=private)
    assert opened == session.private_bytes
