"""An insider who holds a writer's key tells lies under a good seal. The reader still believes no length."""

import gzip
import hashlib
import tracemalloc
import zlib
from contextlib import suppress

import lz4.frame
import pytest
import zstandard

from lucid_sessions.archive import Packed, expand, read_header
from lucid_sessions.archive.plain_note import Failure
from lucid_sessions.archive.verifier import check_blob
from tests.archive.forging import Lie, forge
from tests.archive.parts import Scene, is_tampered, noise

HONEST = Lie(packed=b"content", content=b"content")
ZEROS = 256 << 20
TEXT = b"desktop " * 100


def zstd(raw: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(raw)


def lz4_of_dictionary(frame: bytes) -> bytes:
    """The frame, saying that it was made with dictionary 9; which byte is its header's checksum is tried."""
    head = frame[:4] + bytes([frame[4] | 1]) + frame[5:14] + (9).to_bytes(4, "little")
    for checksum in range(256):
        with suppress(RuntimeError):
            lz4.frame.get_frame_info(head + bytes([checksum]))
            return head + bytes([checksum]) + frame[15:]
    raise AssertionError("no checksum fits")


def bomb(codec: str) -> bytes:
    """256 MiB of zeros in one frame."""
    if codec == "zstd":
        return zstd(bytes(ZEROS), level=1)
    if codec == "lz4":
        return bytes(lz4.frame.compress(bytes(ZEROS), store_size=True))
    return gzip.compress(bytes(ZEROS), compresslevel=1, mtime=0)


def test_the_forger_knows_the_format() -> None:
    scene = Scene()
    assert scene.open(forge(HONEST, scene)) == b"content"


# A reader needs no key to see through these.
OPEN_LIES: list[dict[str, object]] = [
    {"magic": b"\x89LSC\n\x1a\n\0"},
    {"version": 0},
    {"version": 2},
    {"suite": 0},
    {"suite": 2},
    {"codec": 4},
    {"codec": 255},
    {"flags": 1},
    {"header_length": 231},
    {"header_length": 1 << 31},
    {"reserved": b"\0" * 7 + b"\1"},
    {"plain_length": 6},
    {"plain_length": 8},
    {"plain_length": (64 << 20) + 1},
    {"plain_length": (1 << 64) - 1},
    {"inner_length": 0},
    {"inner_length": 31},
    {"inner_length": 38},
    {"inner_length": 40},
    {"inner_length": (1 << 64) - 1},
    {"inner_length": 1 << 40, "plain_length": 1 << 40},
]
SEALED_LIES: list[dict[str, object]] = [{"digest": bytes(32)}, {"commitment": bytes(32)}]


@pytest.mark.parametrize("change", [*OPEN_LIES, *SEALED_LIES], ids=str)
def test_a_lie_in_a_field_is_caught(change: dict[str, object]) -> None:
    scene = Scene()
    assert is_tampered(lambda: scene.open(forge(HONEST.but(**change), scene)))


@pytest.mark.parametrize("change", OPEN_LIES, ids=str)
def test_the_verifier_of_bundles_catches_what_needs_no_key(change: dict[str, object]) -> None:
    """It said that all of the blob held where the archive itself refuses it."""
    scene = Scene()
    _check_in_a_bundle(forge(HONEST, scene), scene)
    with pytest.raises(Failure):
        _check_in_a_bundle(forge(HONEST.but(**change), scene), scene)


def _check_in_a_bundle(blob: bytes, scene: Scene) -> None:
    place, writers = scene.place, {key.hex(): public for key, public in scene.writers.items()}
    leaf = {"session": str(place.session), "track": place.track, "sequence": place.sequence}
    leaf |= {"blob": hashlib.sha256(blob).hexdigest(), "length": len(blob)}
    check_blob(blob, leaf, place.repository, writers)


@pytest.mark.parametrize("length", [(64 << 20) + 1, 1 << 40, (1 << 64) - 1])
def test_an_oversized_length_is_caught_in_the_header_alone(length: int) -> None:
    blob = forge(HONEST.but(plain_length=length), Scene())
    assert is_tampered(lambda: read_header(blob))


@pytest.mark.parametrize(
    ("codec", "packed"),
    [
        (1, zstd(TEXT, write_content_size=False)),
        (1, zstd(TEXT) + b"\0"),
        (1, zstd(TEXT) + zstd(b"")),
        (1, b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstd(TEXT)),
        (1, zstd(TEXT) + b"\x50\x2a\x4d\x18\x04\0\0\0skip"),
        (1, zstd(TEXT)[:-1]),
        (1, zstd(TEXT + b"!")),
        (1, zstd(TEXT[1:])),
        (1, zstd(TEXT)[:4] + bytes([zstd(TEXT)[4] | 1, 9]) + zstd(TEXT)[5:]),  # of dictionary 9
        (1, lz4.frame.compress(TEXT, store_size=True)),
        (1, b""),
        (2, lz4.frame.compress(TEXT, store_size=False)),
        (2, lz4.frame.compress(TEXT, store_size=True) + b"\0"),
        (2, lz4.frame.compress(TEXT, store_size=True)[:-1]),
        (2, lz4.frame.compress(TEXT + b"!", store_size=True)),
        (2, b"\x50\x2a\x4d\x18\x04\0\0\0skip" + lz4.frame.compress(TEXT, store_size=True)),
        (2, lz4_of_dictionary(lz4.frame.compress(TEXT, store_size=True))),
        (2, zstd(TEXT)),
        (2, b""),
        (3, gzip.compress(TEXT, mtime=0) + b"\0"),
        (3, gzip.compress(TEXT, mtime=0) + gzip.compress(b"", mtime=0)),
        (3, gzip.compress(TEXT, mtime=0)[:-1]),
        (3, gzip.compress(TEXT, mtime=0)[:-8] + bytes(8)),
        (3, gzip.compress(TEXT + b"!", mtime=0)),
        (3, gzip.compress(TEXT[1:], mtime=0)),
        (3, zlib.compress(TEXT)),
        (3, b""),
        (0, TEXT + b"!"),
        (0, TEXT[1:]),
    ],
)
def test_a_content_that_is_not_one_exact_frame_is_caught(codec: int, packed: bytes) -> None:
    scene = Scene()
    assert is_tampered(lambda: scene.open(forge(Lie(packed=packed, content=TEXT, codec=codec), scene)))


@pytest.mark.parametrize("codec", ["zstd", "lz4", "gzip"])
@pytest.mark.parametrize("stated", [0, 1000, 1 << 20])
def test_a_bomb_is_caught_in_little_memory(codec: str, stated: int) -> None:
    packed = bomb(codec)
    tracemalloc.start()
    try:
        assert is_tampered(lambda: expand(Packed(codec, stated, bytes(32), packed)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < stated + (4 << 20)


def test_a_frame_that_states_a_small_size_and_holds_more_is_caught() -> None:
    """The content size in a zstd frame is itself only a claim: here 300 bytes, before blocks of 256 KiB."""
    honest = zstd(bytes(256 << 10), level=1)
    lying = b"\x28\xb5\x2f\xfd" + b"\x60" + (300 - 256).to_bytes(2, "little") + honest[_blocks_at(honest) :]
    assert zstandard.get_frame_parameters(lying).content_size == 300
    assert is_tampered(lambda: expand(Packed("zstd", 300, bytes(32), lying)))


def _blocks_at(frame: bytes) -> int:
    """Where the blocks begin: magic 4, descriptor 1, window 0 or 1, content size 1, 2, 4 or 8."""
    descriptor = frame[4]
    single = descriptor >> 5 & 1
    return 5 + (1 - single) + ({0: 1, 1: 2, 2: 4, 3: 8}[descriptor >> 6] if descriptor >> 6 or single else 0)


def test_a_zstd_frame_that_wants_a_window_beyond_64_mib_is_caught() -> None:
    """A frame of honest size with a window descriptor of 1 GiB (exponent 20, mantissa 0)."""
    raw = noise(300)
    block = (len(raw) << 3 | 1).to_bytes(3, "little") + raw
    frame = b"\x28\xb5\x2f\xfd" + b"\x40" + bytes([20 << 3]) + (300 - 256).to_bytes(2, "little") + block
    assert zstandard.get_frame_parameters(frame).window_size == 1 << 30
    assert is_tampered(lambda: expand(Packed("zstd", 300, hashlib.sha256(raw).digest(), frame)))


def test_a_zstd_frame_with_a_dictionary_is_caught() -> None:
    words = zstandard.ZstdCompressionDict(b"desktop window terminal " * 50)
    packed = zstandard.ZstdCompressor(dict_data=words).compress(TEXT)
    assert is_tampered(lambda: expand(Packed("zstd", len(TEXT), hashlib.sha256(TEXT).digest(), packed)))
