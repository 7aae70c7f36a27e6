"""C2SP signed notes and tlog-checkpoints: the log's size and root over the log key's signature."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from lucid_sessions.archive.keys import Writer, check_signature
from lucid_sessions.archive.merkle import EMPTY_ROOT
from lucid_sessions.archive.place import check_bytes
from lucid_sessions.errors import Refused, Tampered

_ED25519: Final = b"\x01"
_MAX_SIZE: Final = 1 << 63
_MAX_NOTE: Final = 64 << 10
_ORIGIN = re.compile(r"[!-*,-~]{1,200}", re.ASCII)  # printable, no space, no plus
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIGNATURE = re.compile(r"— (?P<name>[^ +]+) (?P<base64>[A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True)
class Checkpoint:
    """The log's name, how many records it has, and the RFC 6962 root over them (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        _check_origin(self.origin)
        check_bytes(self.root, 32, what="a root")
        if not 0 <= self.size < _MAX_SIZE or (self.size == 0 and self.root != EMPTY_ROOT):
            raise Refused(f"no log has size {self.size} and root {self.root.hex()}")

    def to_text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


class LogKey:
    """The log's Ed25519 private key and its origin. Only the sealer has it; it signs nothing else."""

    def __init__(self, origin: str, *, signer: Writer) -> None:
        self.origin = _check_origin(origin)
        self._signer = signer

    @classmethod
    def generate(cls, origin: str) -> "LogKey":
        """A new key for the log of that name."""
        return cls(origin, signer=Writer.generate())

    @classmethod
    def from_private(cls, origin: str, private: bytes) -> "LogKey":
        """The key of that name and 32-byte private key."""
        return cls(origin, signer=Writer.from_private(private))

    @property
    def private_bytes(self) -> bytes:
        """The private key (32 bytes)."""
        return self._signer.private_bytes

    @property
    def vkey(self) -> str:
        """The public half as C2SP writes it: <origin>+<key hash>+<base64>."""
        public = self._signer.public
        return f"{self.origin}+{key_hash_of(self.origin, public).hex()}+{_encode(_ED25519 + public)}"

    def sign(self, text: str) -> str:
        """The signature line for a note's text."""
        key_hash = key_hash_of(self.origin, self._signer.public)
        return f"— {self.origin} {_encode(key_hash + self._signer.sign(text.encode()))}\n"

    def __repr__(self) -> str:
        return f"LogKey({self.vkey!r})"


def sign_checkpoint(checkpoint: Checkpoint, key: LogKey) -> str:
    """The checkpoint as a C2SP signed note. Refused: the key is another log's."""
    if checkpoint.origin != key.origin:
        raise Refused(f"the key of log {key.origin} does not sign for {checkpoint.origin}")
    text = checkpoint.to_text()
    return f"{text}\n{key.sign(text)}"


def open_checkpoint(text: str, vkey: str) -> Checkpoint:
    """The checkpoint, signed by the key in `vkey`; others' signatures, as of witnesses, are passed over.

    Tampered: anything else. Refused: `vkey` is no Ed25519 verifier key.
    """
    origin, public = parse_vkey(vkey)
    note, _, signatures = text.rpartition("\n\n")
    if len(text) > _MAX_NOTE or not note or not signatures.endswith("\n"):
        raise Tampered("the checkpoint is not a signed note")
    ours = signatures_of(signatures[:-1].split("\n"), origin=origin, key_hash=key_hash_of(origin, public))
    if not ours:
        raise Tampered(f"the checkpoint is not signed by {origin}")
    for signature in ours:
        check_signature(public, signature, (note + "\n").encode("utf-8", "surrogatepass"))
    checkpoint = _parse(note)
    if checkpoint.origin != origin:
        raise Tampered(f"the checkpoint is of {checkpoint.origin!r}, not of {origin!r}")
    return checkpoint


def parse_vkey(vkey: str, *, kind: bytes = _ED25519) -> tuple[str, bytes]:
    """The origin and the Ed25519 public key (32 bytes) of a C2SP verifier key. Refused: it is none.

    `kind` is 1 for a log's key, 4 for the key of a witness.
    """
    try:
        origin, key_hash, encoded = vkey.split("+", 2)
        key = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise Refused(f"{vkey!r} is not a verifier key <origin>+<hash>+<base64>") from error
    public = check_bytes(key[1:], 32, what="a log's public key")
    if key[:1] != kind or key_hash != key_hash_of(_check_origin(origin), public, kind=kind).hex():
        raise Refused(f"{vkey!r} is not an Ed25519 verifier key of type {kind[0]}, or its hash is wrong")
    return origin, public


def signatures_of(lines: list[str], *, origin: str, key_hash: bytes) -> list[bytes]:
    """The signatures that claim to be by this key; every line must be a signature line."""
    found = []
    for line in lines:
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise Tampered("the checkpoint has a line that is no signature below its text")
        signature = _decode(match["base64"])
        if match["name"] == origin and signature[:4] == key_hash:
            found.append(signature[4:])
    return found


def _parse(note: str) -> Checkpoint:
    lines = note.split("\n")
    if len(lines) != 3 or not _SIZE.fullmatch(lines[1]):
        raise Tampered("the checkpoint is not three lines: origin, size, root")
    try:
        return Checkpoint(lines[0], int(lines[1]), _decode(lines[2]))
    except Refused as error:
        raise Tampered(f"the checkpoint says what none can: {error}") from error


def key_hash_of(origin: str, public: bytes, *, kind: bytes = _ED25519) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + kind + public).digest()[:4]


def _check_origin(origin: str) -> str:
    if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
        raise Refused(
            f"log origin {origin!r} is not 1 to 200 printable ASCII characters without space or plus"
        )
    return origin


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _decode(text: str) -> bytes:
    """The bytes of canonical base64: a second spelling of the same bytes would be a second checkpoint."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Tampered("the checkpoint holds broken base64") from error
    if _encode(value) != text:
        raise Tampered("the checkpoint holds base64 that is not in its one form")
    return value
