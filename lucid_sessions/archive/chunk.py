"""LSC1: seal a chunk to its session's public key and sign it; verify it without keys; open it.

Once published, a layout opens for ever: tests/vectors/archive holds chunks that every later version must
open. A change of layout takes a new version number beside this one. The bytes: docs/archive-format.md.
"""

import hashlib
import hmac
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lucid_sessions.archive.compression import Bytes, Packed, expand
from lucid_sessions.archive.header import DIGEST, FIXED, HEADER, SIGNATURE, TAG, Header, read_header
from lucid_sessions.archive.keys import (
    Identity,
    Recipient,
    Writer,
    Writers,
    check_signature,
    open_secret,
    seal_secret,
)
from lucid_sessions.archive.place import Place, check_bytes, check_u64
from lucid_sessions.errors import Tampered

_CONTENT_KEY_LABEL: Final = b"lucid/1 chunk cek\0"
_DERIVE_LABEL: Final = b"lucid/1 chunk keys"
_SIGNATURE_LABEL: Final = b"lucid/1 chunk sig\0"
_SEALED_END: Final = HEADER - 32  # the key commitment follows
_KEEP: Final = 16 << 20  # a buffer larger than this is not kept between chunks

_SPARE: Final = 2  # buffers that wait for the next chunk, at most
_spare: deque[bytearray] = deque()


def seal(
    packed: Packed, *, place: Place, timestamp_ms: int, recipient: Recipient, writer: Writer
) -> bytearray:
    """The chunk, sealed to the recipient and signed by the writer; no two seals are alike.

    `timestamp_ms` is the wall clock at the chunk's start. Refused: a packed content that is out of bounds.
    """
    return seal_named(packed, place=place, timestamp_ms=timestamp_ms, recipient=recipient, writer=writer)[0]


def seal_named(
    packed: Packed, *, place: Place, timestamp_ms: int, recipient: Recipient, writer: Writer
) -> tuple[bytearray, bytes]:
    """The sealed chunk and its own SHA-256, which names it in the store and costs nothing extra here."""
    header = _describe(packed, place=place, timestamp_ms=timestamp_ms, recipient=recipient, writer=writer)
    fixed = header.to_bytes()
    # A retry draws a fresh key: sealing again under the old one would reuse its nonce.
    content_key = os.urandom(32)
    head = fixed + seal_secret(content_key, to=recipient, info=_CONTENT_KEY_LABEL + fixed)
    key, nonce, commitment = _derive(content_key, head)
    head += commitment
    blob = bytearray(header.blob_length)
    out = memoryview(blob)
    out[:HEADER] = head
    sealing = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    sealing.authenticate_additional_data(head)
    sealing.update_into(packed.raw_sha256, out[HEADER:])  # in two parts: the content is not copied
    sealing.update_into(memoryview(packed.payload).cast("B"), out[HEADER + DIGEST :])
    sealing.finalize()
    out[-SIGNATURE - TAG : -SIGNATURE] = sealing.tag
    digest = hashlib.sha256(out[:-SIGNATURE])
    out[-SIGNATURE:] = writer.sign(_SIGNATURE_LABEL + digest.digest())
    digest.update(out[-SIGNATURE:])
    return blob, digest.digest()


def verify_blob(blob: Bytes, *, place: Place, writers: Writers) -> Header:
    """The header, now believed: this is, whole, what a trusted writer sealed for this place. Needs no key.

    `writers` maps key ids to the Ed25519 public keys that the reader trusts. Tampered: anything else.
    """
    view = memoryview(blob).cast("B")
    header = read_header(view)
    if header.blob_length != len(view):
        raise Tampered(f"{place} is {len(view)} bytes, not the {header.blob_length} that it states")
    if not _belongs(header, place):
        raise Tampered(f"this is not {place}: it was sealed for another place")
    public = writers.get(header.writer_key_id)
    if public is None:
        raise Tampered(f"{place} names a writer that is not trusted: {header.writer_key_id.hex()}")
    digest = hashlib.sha256(view[:-SIGNATURE])
    check_signature(public, bytes(view[-SIGNATURE:]), _SIGNATURE_LABEL + digest.digest())
    digest.update(view[-SIGNATURE:])
    return replace(header, blob_sha256=digest.digest())


def open_blob(blob: Bytes, *, place: Place, identity: Identity, writers: Writers) -> bytes:
    """The chunk's content, verified, decrypted, expanded and equal to its digest. Tampered: anything else."""
    header = verify_blob(blob, place=place, writers=writers)
    if header.session_key_id != identity.recipient.key_id:
        raise Tampered(f"{place} is sealed to key {header.session_key_id.hex()}, which is not this session's")
    view = memoryview(blob).cast("B")
    head = bytes(view[:HEADER])
    key, nonce = _content_keys(head, identity)
    with _scratch(header.inner_length) as inner:
        try:
            AESGCM(key).decrypt_into(nonce, view[HEADER:-SIGNATURE], head, inner)
        except InvalidTag as error:
            raise Tampered(f"{place} does not decrypt: its bytes were changed") from error
        return expand(Packed(header.codec, header.plain_length, bytes(inner[:DIGEST]), inner[DIGEST:]))


def _describe(
    packed: Packed, *, place: Place, timestamp_ms: int, recipient: Recipient, writer: Writer
) -> Header:
    check_bytes(packed.raw_sha256, DIGEST, what="a SHA-256")
    return Header(
        codec=packed.codec,
        repository=place.repository,
        binding=place.binding,
        sequence=place.sequence,
        timestamp_ms=check_u64(timestamp_ms, what="a timestamp in milliseconds"),
        plain_length=packed.raw_length,
        inner_length=DIGEST + memoryview(packed.payload).nbytes,
        session_key_id=recipient.key_id,
        writer_key_id=writer.key_id,
    )


def _belongs(header: Header, place: Place) -> bool:
    claimed = (header.repository, header.binding, header.sequence)
    return claimed == (place.repository, place.binding, place.sequence)


def _content_keys(head: bytes, identity: Identity) -> tuple[bytes, bytes]:
    """The AES key and nonce; the commitment shows that no second key opens these bytes to other content."""
    fixed, sealed, committed = head[: FIXED.size], head[FIXED.size : _SEALED_END], head[_SEALED_END:]
    content_key = open_secret(sealed, by=identity, info=_CONTENT_KEY_LABEL + fixed)
    key, nonce, commitment = _derive(content_key, head[:_SEALED_END])
    if not hmac.compare_digest(commitment, committed):
        raise Tampered("the chunk's key commitment does not match its key")
    return key, nonce


def _derive(content_key: bytes, head: bytes) -> tuple[bytes, bytes, bytes]:
    salt = hashlib.sha256(head).digest()
    derived = HKDF(algorithm=hashes.SHA256(), length=76, salt=salt, info=_DERIVE_LABEL).derive(content_key)
    return derived[:32], derived[32:44], derived[44:]


@contextmanager
def _scratch(length: int) -> Iterator[memoryview]:
    """A buffer that served before, if one is free: fresh pages cost more than the cipher.

    All threads share them: a web server has many, few of which decrypt at once.
    """
    try:
        buffer = _spare.pop()
    except IndexError:
        buffer = bytearray()
    if len(buffer) < length:
        buffer = bytearray(length)
    try:
        with memoryview(buffer) as whole, whole[:length] as part:
            yield part
    finally:
        if len(buffer) <= _KEEP and len(_spare) < _SPARE:
            _spare.append(buffer)
