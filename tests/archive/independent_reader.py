"""A second reader of the archive format, written from docs/archive-format.md alone.

It shares no code and, beneath pyhpke's X25519, no library with lucid_sessions: HPKE is pyhpke's, AES-GCM and
Ed25519 are pycryptodome's, HKDF is spelled out with hmac, and Argon2id is our numpy one (RFC 9106). It is
slow and plain on purpose. Everything it dislikes is one `Bad`.
"""

import base64
import gzip
import hashlib
import hmac
import io
import struct
import zlib
from dataclasses import dataclass

import lz4.frame
import zstandard
from Crypto.Cipher import AES
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, PyHPKEError

from tests.archive.argon2id import argon2id


class Bad(Exception):
    """These bytes are not what the format describes."""


def demand(holds: bool, why: str) -> None:
    if not holds:
        raise Bad(why)


def key_id(public: bytes) -> bytes:
    return hashlib.sha256(b"lucid/1 kid\x00" + public).digest()[:8]


def public_of(private: bytes) -> bytes:
    return bytes(ECC.construct(curve="Curve25519", seed=private).public_key().export_key(format="raw"))


def binding_of(session: bytes, track: str) -> bytes:
    return hashlib.sha256(b"lucid/1 session\x00" + session + track.encode("ascii")).digest()


def check_ed25519(public: bytes, signature: bytes, message: bytes) -> None:
    try:
        eddsa.new(eddsa.import_public_key(public), "rfc8032").verify(message, signature)
    except ValueError as error:
        raise Bad("signature") from error


def hpke_open(sealed: bytes, private: bytes, info: bytes) -> bytes:
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
    text = {"x": public_of(private), "d": private}
    words = {name: base64.urlsafe_b64encode(part).rstrip(b"=").decode() for name, part in text.items()}
    try:
        key = KEMKey.from_jwk({"kty": "OKP", "crv": "X25519", **words})
        return suite.create_recipient_context(sealed[:32], key, info=info).open(sealed[32:])
    except PyHPKEError as error:
        raise Bad("sealed key") from error


def gcm_open(key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes:
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
    cipher.update(ad)
    try:
        return cipher.decrypt_and_verify(sealed[:-16], sealed[-16:])
    except ValueError as error:
        raise Bad("tag") from error


def hkdf(secret: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    key, made, block = hmac.new(salt, secret, "sha256").digest(), b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.new(key, block + info + bytes([number]), "sha256").digest()
        made += block
    return made[:length]


@dataclass
class Expected:
    """What a reader knows before it looks at a chunk."""

    repository: bytes
    session: bytes
    track: str
    sequence: int
    writers: dict[bytes, bytes]


def verify_chunk(chunk: bytes, expected: Expected) -> tuple[int, int]:
    """Section 3, steps 1 to 3. Gives the codec and the plain length."""
    demand(len(chunk) >= 344, "short")
    demand(chunk[:8] == bytes.fromhex("894C53430D0A1A0A"), "magic")
    version, suite, codec, flags, length = struct.unpack(">BBBBI", chunk[8:16])
    demand((version, suite, flags, length) == (1, 1, 0, 232) and codec <= 3, "fixed fields")
    sequence, _, plain, inner = struct.unpack(">QQQQ", chunk[64:96])
    demand(plain <= 64 * 1024 * 1024 and 32 <= inner <= 32 + plain, "bounds")
    demand(codec != 0 or inner == 32 + plain, "packed length without a codec")
    demand(chunk[112:120] == bytes(8), "reserved")
    demand(len(chunk) == 312 + inner, "length")
    demand(chunk[16:32] == expected.repository, "repository")
    demand(chunk[32:64] == binding_of(expected.session, expected.track), "binding")
    demand(sequence == expected.sequence, "sequence")
    demand(chunk[104:112] in expected.writers, "writer")
    signed = b"lucid/1 chunk sig\x00" + hashlib.sha256(chunk[:-64]).digest()
    check_ed25519(expected.writers[chunk[104:112]], chunk[-64:], signed)
    return codec, plain


def open_chunk(chunk: bytes, expected: Expected, *, session_private: bytes) -> bytes:
    """Section 3, all steps."""
    codec, plain = verify_chunk(chunk, expected)
    demand(chunk[96:104] == key_id(public_of(session_private)), "session key")
    content_key = hpke_open(chunk[120:200], session_private, b"lucid/1 chunk cek\x00" + chunk[:120])
    salt = hashlib.sha256(chunk[:200]).digest()
    derived = hkdf(content_key, salt=salt, info=b"lucid/1 chunk keys", length=76)
    demand(hmac.compare_digest(derived[44:], chunk[200:232]), "commitment")
    inner = gcm_open(derived[:32], derived[32:44], chunk[:232], chunk[232:-64])
    content = unpack(inner[32:], codec=codec, plain=plain)
    demand(hashlib.sha256(content).digest() == inner[:32], "digest")
    return content


def unpack(packed: bytes, *, codec: int, plain: int) -> bytes:
    """Section 3, step 7."""
    try:
        content = (unpack_none, unpack_zstd, unpack_lz4, unpack_gzip)[codec](packed, plain)
    except (zstandard.ZstdError, RuntimeError, OSError, EOFError, zlib.error) as error:
        raise Bad("packed content") from error
    demand(len(content) == plain, "plain length")
    return content


def unpack_none(packed: bytes, plain: int) -> bytes:
    return packed


def unpack_zstd(packed: bytes, plain: int) -> bytes:
    demand(zstandard.frame_content_size(packed) == plain, "zstd content size")
    demand(zstandard.get_frame_parameters(packed).window_size <= 64 * 1024 * 1024, "zstd window")
    frame = zstandard.ZstdDecompressor(max_window_size=64 * 1024 * 1024).decompressobj()
    content = frame.decompress(packed)
    demand(frame.eof and not frame.unused_data, "zstd frame end")
    return content


def unpack_lz4(packed: bytes, plain: int) -> bytes:
    demand(lz4.frame.get_frame_info(packed)["content_size"] == plain, "lz4 content size")
    content, used = lz4.frame.decompress(packed, return_bytes_read=True)
    demand(used == len(packed), "lz4 frame end")
    return bytes(content)


def unpack_gzip(packed: bytes, plain: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as members:
        content = members.read(plain + 1)
    # GzipFile reads on over members and padding; the format allows exactly one member.
    one = zlib.decompressobj(31)
    demand(one.decompress(packed, plain + 1) == content, "gzip member")
    demand(one.eof and not one.unused_data, "gzip member end")
    return content


def open_slot(slot: bytes, *, password: bytes, salt: bytes, repository: bytes) -> bytes:
    """Section 4: the repository's private key."""
    demand(len(slot) == 120 and slot[:8] == b"LSK1\x01\x01\x00\x00", "slot")
    memory, passes, lanes = struct.unpack(">III", slot[8:20])
    demand(65536 <= memory <= 1048576 and 1 <= passes <= 16 and 1 <= lanes <= 16, "slot bounds")
    demand(slot[20:36] == repository, "slot repository")
    costs = {"memory": memory, "passes": passes, "lanes": lanes}
    key = argon2id(password, salt=slot[36:52], **costs, secret=salt, ad=b"lucid/1 slot" + repository)
    private = gcm_open(key, slot[60:72], slot[:72], slot[72:])
    demand(key_id(public_of(private)) == slot[52:60], "slot key id")
    return private


@dataclass
class SessionKey:
    """What a verified statement says."""

    repository: bytes
    session: bytes
    track: str
    public: bytes


def read_statement(statement: bytes, *, creator: bytes) -> SessionKey:
    """Section 5."""
    demand(len(statement) == 168 and statement[:6] == b"LSS1\x01\x01" and statement[7] == 0, "statement")
    length = statement[6]
    demand(1 <= length <= 32 and not any(statement[72 + length : 104]), "statement track")
    check_ed25519(creator, statement[104:], b"lucid/1 session statement\x00" + statement[:104])
    track = statement[72 : 72 + length].decode("ascii")
    return SessionKey(statement[8:24], statement[24:40], track, statement[40:72])


def open_session_key(sealed: bytes, said: SessionKey, *, repository_private: bytes) -> bytes:
    """Section 5: the session's private key."""
    recipient = key_id(public_of(repository_private))
    bound = said.repository + binding_of(said.session, said.track) + recipient + said.public
    private = hpke_open(sealed, repository_private, b"lucid/1 session key\x00" + bound)
    demand(public_of(private) == said.public, "session key pair")
    return private


def chunk_leaf(expected: Expected, chunk: bytes) -> bytes:
    """Section 6."""
    name = expected.session + expected.track.encode("ascii") + b"\x00" + struct.pack(">Q", expected.sequence)
    stored = hashlib.sha256(chunk).digest() + struct.pack(">Q", len(chunk))
    return hashlib.sha256(b"\x00lucid/1 leaf\x00" + name + stored).digest()


def read_checkpoint(note: str, *, vkey: str) -> tuple[str, int, bytes]:
    """Section 8: origin, size and root."""
    origin, key_hash, key = vkey.split("+", 2)
    public = base64.b64decode(key)[1:]
    named = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
    demand(named.hex() == key_hash, "verifier key")
    text, _, signatures = note.partition("\n\n")
    good = 0
    for line in signatures.splitlines():
        dash, name, value = line.split(" ")
        raw = base64.b64decode(value)
        if (dash, name, raw[:4]) == ("—", origin, named):
            check_ed25519(public, raw[4:], text.encode() + b"\n")
            good += 1
    demand(good > 0, "not signed by the log")
    said, size, root = text.split("\n")
    demand(said == origin and str(int(size)) == size, "checkpoint")
    return said, int(size), base64.b64decode(root)
