"""An insider with a writer's key: chunks that are sealed and signed correctly around a lie."""

import hashlib
import struct
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.archive.parts import Scene

_HEADER = struct.Struct(">8sBBBBI16s32sQQQQ8s8s8s")
_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True)
class Lie:
    """A chunk's fields as the insider wants them; those left None are true."""

    packed: bytes
    content: bytes = b""
    codec: int = 0
    magic: bytes = b"\x89LSC\r\n\x1a\n"
    version: int = 1
    suite: int = 1
    flags: int = 0
    header_length: int = 232
    reserved: bytes = bytes(8)
    plain_length: int | None = None
    inner_length: int | None = None
    digest: bytes | None = None
    commitment: bytes | None = None

    def but(self, **change: object) -> "Lie":
        return replace(self, **change)


def forge(lie: Lie, scene: Scene) -> bytes:
    """The chunk, with a good seal and a trusted writer's good signature."""
    inner = (lie.digest or hashlib.sha256(lie.content).digest()) + lie.packed
    fixed = _fixed(lie, scene, inner_length=len(inner))
    content_key = bytes([5]) * 32
    head = fixed + _HPKE.encrypt(
        content_key, scene.identity.recipient._key, info=b"lucid/1 chunk cek\0" + fixed
    )
    salt = hashlib.sha256(head).digest()
    derive = HKDF(algorithm=hashes.SHA256(), length=76, salt=salt, info=b"lucid/1 chunk keys")
    derived = derive.derive(content_key)
    head += lie.commitment or derived[44:]
    return sign(head + AESGCM(derived[:32]).encrypt(derived[32:44], inner, head), scene)


def sign(unsigned: bytes, scene: Scene) -> bytes:
    """The bytes with the writer's signature after them."""
    return unsigned + scene.writer.sign(b"lucid/1 chunk sig\0" + hashlib.sha256(unsigned).digest())


def _fixed(lie: Lie, scene: Scene, *, inner_length: int) -> bytes:
    plain = len(lie.content) if lie.plain_length is None else lie.plain_length
    inner = inner_length if lie.inner_length is None else lie.inner_length
    kind = (lie.magic, lie.version, lie.suite, lie.codec, lie.flags, lie.header_length)
    where = (scene.place.repository, scene.place.binding, scene.place.sequence, 1_790_000_000_000)
    keys = (scene.identity.recipient.key_id, scene.writer.key_id, lie.reserved)
    return _HEADER.pack(*kind, *where, plain, inner, *keys)
