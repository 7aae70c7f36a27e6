from dataclasses import replace
from uuid import UUID

import pytest

from lucid_sessions.archive import (
    Identity,
    Recipient,
    Statement,
    Writer,
    seal_session_key,
    session_binding,
    unseal_session_key,
)
from lucid_sessions.archive.keys import seal_secret
from lucid_sessions.errors import Refused
from tests.archive.parts import REPOSITORY, SESSION, is_tampered

CREATOR = Writer.from_private(bytes([3]) * 32)
SESSION_KEY = Identity.from_private(bytes([4]) * 32)
REPOSITORY_KEY = Identity.from_private(bytes([5]) * 32)
OTHER_SESSION = UUID("5e551001-0000-4000-8000-000000000002")


def statement(**change: object) -> Statement:
    facts = {"repository": REPOSITORY, "session": SESSION, "track": "screen"}
    return Statement(**(facts | {"public": SESSION_KEY.recipient.public} | change)).sign(CREATOR)


def test_a_signed_statement_survives_its_bytes_and_verifies() -> None:
    said = Statement.from_bytes(statement().to_bytes())
    said.verify(CREATOR.public)
    assert said == statement()
    assert said.recipient == SESSION_KEY.recipient


def test_every_flipped_bit_of_a_statement_is_caught() -> None:
    said = statement().to_bytes()

    def read(bit: int) -> None:
        changed = bytearray(said)
        changed[bit // 8] ^= 1 << bit % 8
        Statement.from_bytes(bytes(changed)).verify(CREATOR.public)

    assert [bit for bit in range(len(said) * 8) if not is_tampered(lambda b=bit: read(b))] == []


def test_every_other_length_of_a_statement_is_caught() -> None:
    said = statement().to_bytes()
    assert all(is_tampered(lambda n=length: Statement.from_bytes(said[:n])) for length in range(len(said)))
    assert is_tampered(lambda: Statement.from_bytes(said + b"\0"))


@pytest.mark.parametrize("track", [b"", b"scr\0en", b"SCREEN", b"a" * 33, b"-", b"\xff"], ids=repr)
def test_a_statement_for_what_is_no_track_is_caught(track: bytes) -> None:
    said = statement().to_bytes()
    changed = said[:6] + bytes([len(track)]) + said[7:72] + track.ljust(32, b"\0")[:32] + said[104:]
    assert is_tampered(lambda: Statement.from_bytes(changed))


def test_a_stranger_cannot_state_a_sessions_key() -> None:
    said = replace(statement(), signature=b"").sign(Writer.generate())
    assert is_tampered(lambda: said.verify(CREATOR.public))


def test_an_unsigned_statement_is_neither_stored_nor_believed() -> None:
    said = replace(statement(), signature=b"")
    with pytest.raises(Refused, match="sign it first"):
        said.to_bytes()
    assert is_tampered(lambda: said.verify(CREATOR.public))


def test_a_signature_on_a_chunk_is_none_on_a_statement() -> None:
    said = statement()
    plain = said.to_bytes()[:104]
    for label in (b"", b"lucid/1 chunk sig\0"):
        moved = replace(said, signature=CREATOR.sign(label + plain))
        assert is_tampered(lambda m=moved: m.verify(CREATOR.public))


def test_a_session_key_comes_back_from_its_sealed_form() -> None:
    sealed = seal_session_key(SESSION_KEY, statement=statement(), to=REPOSITORY_KEY.recipient)
    assert len(sealed) == 80
    opened = unseal_session_key(sealed, statement=statement(), by=REPOSITORY_KEY)
    assert opened.private_bytes == SESSION_KEY.private_bytes


def test_each_repository_recipient_gets_its_own() -> None:
    recovery = Identity.generate()
    for who in (REPOSITORY_KEY, recovery):
        sealed = seal_session_key(SESSION_KEY, statement=statement(), to=who.recipient)
        assert unseal_session_key(sealed, statement=statement(), by=who).recipient == SESSION_KEY.recipient
    assert is_tampered(lambda: unseal_session_key(sealed, statement=statement(), by=REPOSITORY_KEY))


@pytest.mark.parametrize(
    "change",
    [
        {"repository": bytes(16)},
        {"session": OTHER_SESSION},
        {"track": "thumb"},
        {"public": Identity.generate().recipient.public},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_sealed_key_moved_to_another_place_is_caught(change: dict[str, object]) -> None:
    sealed = seal_session_key(SESSION_KEY, statement=statement(), to=REPOSITORY_KEY.recipient)
    assert is_tampered(lambda: unseal_session_key(sealed, statement=statement(**change), by=REPOSITORY_KEY))


def test_every_flipped_bit_and_other_length_of_a_sealed_key_is_caught() -> None:
    sealed = seal_session_key(SESSION_KEY, statement=statement(), to=REPOSITORY_KEY.recipient)

    def unseal(changed: bytes) -> None:
        unseal_session_key(changed, statement=statement(), by=REPOSITORY_KEY)

    flips = ((int.from_bytes(sealed, "big") ^ 1 << bit).to_bytes(80, "big") for bit in range(640))
    assert all(is_tampered(lambda f=flip: unseal(f)) for flip in flips)
    assert all(is_tampered(lambda n=length: unseal(sealed[:n])) for length in range(80))
    assert is_tampered(lambda: unseal(sealed + b"\0"))


def test_a_private_key_that_the_statement_does_not_name_is_refused() -> None:
    with pytest.raises(Refused, match="not the one"):
        seal_session_key(Identity.generate(), statement=statement(), to=REPOSITORY_KEY.recipient)


def test_a_sealed_key_that_holds_another_private_key_is_caught() -> None:
    """Sealed by someone who may seal to the repository but holds no session key: the pair is checked."""
    said, to = statement(), REPOSITORY_KEY.recipient
    bound = said.repository + session_binding(said.session, said.track) + to.key_id + said.public
    sealed = seal_secret(bytes([8]) * 32, to=to, info=b"lucid/1 session key\0" + bound)
    assert is_tampered(lambda: unseal_session_key(sealed, statement=said, by=REPOSITORY_KEY))


def test_a_recipient_with_no_real_key_is_refused() -> None:
    with pytest.raises(Refused):
        seal_session_key(SESSION_KEY, statement=statement(), to=Recipient(bytes(32)))
