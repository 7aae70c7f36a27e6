"""A session's key pair: the creator's statement whose it is, and its private half sealed away."""

import struct
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final
from uuid import UUID

from lucid_sessions.archive.keys import (
    SEALED_KEY,
    Identity,
    Recipient,
    Writer,
    check_signature,
    open_secret,
    seal_secret,
)
from lucid_sessions.archive.place import check_bytes, check_track, session_binding
from lucid_sessions.errors import Refused, Tampered

STATEMENT_LENGTH: Final = 168
_SIGNED: Final = struct.Struct(">4sBBBB16s16s32s32s")
_MAGIC: Final = b"LSS1"
_VERSION: Final = 1
_X25519: Final = 1
_SIGN_LABEL: Final = b"lucid/1 session statement\0"
_SEAL_LABEL: Final = b"lucid/1 session key\0"


@dataclass(frozen=True)
class Statement:
    """ "This X25519 public key is that of this session and track", signed by a creator whom workers pin.

    repository 16 bytes, public 32 bytes, signature 64 bytes (empty before it is signed).
    """

    repository: bytes
    session: UUID
    track: str
    public: bytes
    signature: bytes = b""

    def __post_init__(self) -> None:
        check_bytes(self.repository, 16, what="a repository id")
        check_bytes(self.public, 32, what="a session's public key")
        check_track(self.track)
        if self.signature:
            check_bytes(self.signature, 64, what="a statement's signature")

    @cached_property
    def recipient(self) -> Recipient:
        """What the session's chunks are sealed to. Call `verify` first."""
        return Recipient(self.public)

    def sign(self, creator: Writer) -> "Statement":
        """The same statement with the creator's signature."""
        return replace(self, signature=creator.sign(_SIGN_LABEL + self._signed()))

    def verify(self, creator_public: bytes) -> None:
        """Nothing, if the creator with this Ed25519 public key (32 bytes) signed it; Tampered if not."""
        check_signature(creator_public, self.signature, _SIGN_LABEL + self._signed())

    def to_bytes(self) -> bytes:
        """The signed statement (168 bytes); Refused before it is signed."""
        if not self.signature:
            raise Refused("a statement without a signature says nothing: sign it first")
        return self._signed() + self.signature

    @classmethod
    def from_bytes(cls, statement: bytes) -> "Statement":
        """The statement in these 168 bytes, its signature unverified; Tampered if they are none."""
        if len(statement) != STATEMENT_LENGTH:
            raise Tampered(f"a session statement is {STATEMENT_LENGTH} bytes, not {len(statement)}")
        magic, version, suite, length, zero, repository, session, public, track = _SIGNED.unpack_from(
            statement
        )
        if (magic, version, suite, zero) != (_MAGIC, _VERSION, _X25519, 0):
            raise Tampered("this is not a session statement of version 1")
        if length > len(track) or any(track[length:]):
            raise Tampered("the session statement's track is not as long as it states")
        try:
            name = track[:length].decode("ascii")
            return cls(repository, UUID(bytes=session), name, public, bytes(statement[_SIGNED.size :]))
        except (UnicodeDecodeError, Refused) as error:
            raise Tampered("the session statement names no track") from error

    def _signed(self) -> bytes:
        track = check_track(self.track)
        keys = (self.repository, self.session.bytes, self.public)
        return _SIGNED.pack(_MAGIC, _VERSION, _X25519, len(track), 0, *keys, track)


def seal_session_key(identity: Identity, *, statement: Statement, to: Recipient) -> bytes:
    """The session's private key sealed to a repository recipient (80 bytes).

    Refused: the identity is not the one that the statement names.
    """
    if identity.recipient.public != statement.public:
        raise Refused("this private key is not the one that the session statement names")
    return seal_secret(identity.private_bytes, to=to, info=_info(statement, to))


def unseal_session_key(sealed: bytes, *, statement: Statement, by: Identity) -> Identity:
    """The session's identity, opened by the repository's. The statement must have been verified.

    Tampered: sealed for another session, track, recipient or repository, or not the statement's key.
    """
    if len(sealed) != SEALED_KEY:
        raise Tampered(f"a sealed session key is {SEALED_KEY} bytes, not {len(sealed)}")
    identity = Identity.from_private(open_secret(sealed, by=by, info=_info(statement, by.recipient)))
    if identity.recipient.public != statement.public:
        raise Tampered("the sealed private key is not the one that the session statement names")
    return identity


def _info(statement: Statement, to: Recipient) -> bytes:
    binding = session_binding(statement.session, statement.track)
    return _SEAL_LABEL + statement.repository + binding + to.key_id + statement.public
