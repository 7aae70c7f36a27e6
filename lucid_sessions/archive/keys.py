"""Who can read and who can sign: Recipient (public, for workers), Identity (secret, for playback), Writer."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from lucid_sessions.archive.place import check_bytes
from lucid_sessions.errors import Refused, Tampered

Writers = Mapping[bytes, bytes]
"""The writers that a reader trusts: key id (8 bytes) to Ed25519 public key (32 bytes)."""

SEALED_KEY: Final = 80  # HPKE's encapsulated key 32, ciphertext 32, tag 16

_hpke = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def key_id(public: bytes) -> bytes:
    """The 8 bytes by which headers name a public key."""
    return hashlib.sha256(b"lucid/1 kid\0" + public).digest()[:8]


@dataclass(frozen=True)
class Recipient:
    """An X25519 public key (32 bytes) that secrets are sealed to; it opens nothing."""

    public: bytes

    def __post_init__(self) -> None:
        check_bytes(self.public, 32, what="a recipient's public key")

    @cached_property
    def key_id(self) -> bytes:
        """The 8 bytes by which headers name this key."""
        return key_id(self.public)

    @cached_property
    def _key(self) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(self.public)


class Identity:
    """An X25519 private key: it opens what was sealed to its recipient. Never printed, never pickled."""

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self.recipient = Recipient(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> "Identity":
        """A new key from the operating system's random source."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_private(cls, private: bytes) -> "Identity":
        """The identity of a 32-byte private key."""
        return cls(X25519PrivateKey.from_private_bytes(check_bytes(private, 32, what="a private key")))

    @property
    def private_bytes(self) -> bytes:
        """The private key (32 bytes), to be sealed and never stored as it is."""
        return self._key.private_bytes_raw()

    def __repr__(self) -> str:
        return f"Identity({self.recipient.key_id.hex()})"


class Writer:
    """An Ed25519 private key that signs: chunks as a writer, statements as a session's creator."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    @classmethod
    def generate(cls) -> "Writer":
        """A new key from the operating system's random source."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_private(cls, private: bytes) -> "Writer":
        """The writer of a 32-byte private key (RFC 8032 seed)."""
        return cls(Ed25519PrivateKey.from_private_bytes(check_bytes(private, 32, what="a private key")))

    @property
    def private_bytes(self) -> bytes:
        """The private key (32 bytes)."""
        return self._key.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """A signature (64 bytes). The caller puts a label of its own in front of the message."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Writer({self.key_id.hex()})"


def check_signature(public: bytes, signature: bytes, message: bytes) -> None:
    """Nothing, if the signature is good; Tampered if not; Refused if the public key is none."""
    try:
        key = Ed25519PublicKey.from_public_bytes(check_bytes(public, 32, what="a signer's public key"))
        key.verify(signature, message)
    except InvalidSignature as error:
        raise Tampered(f"the signature is not by key {key_id(public).hex()}") from error


def seal_secret(secret: bytes, *, to: Recipient, info: bytes) -> bytes:
    """A secret sealed by HPKE base mode (48 bytes more); opening it needs the same `info`."""
    try:
        return _hpke.encrypt(secret, to._key, info=info)
    except ValueError as error:  # a point of small order, which no key pair has
        raise Refused(f"recipient {to.key_id.hex()} is not a usable X25519 key") from error


def open_secret(sealed: bytes, *, by: Identity, info: bytes) -> bytes:
    """The 32-byte secret that was sealed with the same `info`; Tampered otherwise."""
    secret = open_sealed(sealed, by=by, info=info)
    if len(secret) != 32:
        raise Tampered("the sealed key is not 32 bytes")
    return secret


def open_sealed(sealed: bytes, *, by: Identity, info: bytes) -> bytes:
    """What was sealed with the same `info`, of any length; Tampered otherwise."""
    try:
        return _hpke.decrypt(sealed, by._key, info=info)
    except (InvalidTag, ValueError) as error:
        raise Tampered(f"the sealed key does not open with key {by.recipient.key_id.hex()}") from error
