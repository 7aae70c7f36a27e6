import hashlib

import pytest

from lucid_sessions.archive import (
    OVERHEAD,
    Identity,
    Packed,
    Place,
    Recipient,
    compress,
    open_blob,
    read_header,
    seal,
    seal_named,
    verify_blob,
)
from lucid_sessions.errors import Refused
from tests.archive.parts import PLACE, REPOSITORY, SESSION, Scene, noise


@pytest.mark.parametrize("want", ["none", "zstd", "lz4", "gzip"])
@pytest.mark.parametrize("raw", [b"", b"x", b"desktop " * 5000, noise(5000), bytes(300_000)], ids=len)
def test_what_was_sealed_opens_to_the_same_bytes(raw: bytes, want: str) -> None:
    scene = Scene()
    assert scene.open(scene.seal(raw, want=want)) == raw


def test_a_chunk_costs_344_bytes_more_than_its_packed_content() -> None:
    assert len(Scene().seal(noise(1000))) == 1000 + 344
    assert OVERHEAD == 344


def test_two_seals_of_the_same_content_share_no_bytes_of_ciphertext_and_both_open() -> None:
    scene = Scene()
    first, second = scene.seal(noise(400)), scene.seal(noise(400))
    assert first[:120] == second[:120]
    assert first[120:152] != second[120:152]
    assert first[232:-64] != second[232:-64]
    assert scene.open(first) == scene.open(second)


def test_the_layout_is_the_published_one() -> None:
    scene = Scene()
    blob = scene.seal(noise(1000))
    assert blob[:8].hex() == "894c53430d0a1a0a"
    assert blob[8:16] == bytes([1, 1, 0, 0]) + (232).to_bytes(4, "big")
    assert blob[16:32] == REPOSITORY
    assert blob[32:64] == hashlib.sha256(b"lucid/1 session\0" + SESSION.bytes + b"screen").digest()
    assert [int.from_bytes(blob[at : at + 8], "big") for at in (64, 80, 88)] == [PLACE.sequence, 1000, 1032]
    kid = hashlib.sha256(b"lucid/1 kid\0" + scene.identity.recipient.public).digest()[:8]
    assert blob[96:120] == kid + scene.writer.key_id + bytes(8)


def test_the_header_says_what_was_sealed_and_is_believed_only_after_verification() -> None:
    scene = Scene()
    blob = scene.seal(b"desktop " * 100)
    claimed = read_header(blob[:232])
    assert (claimed.codec, claimed.sequence, claimed.plain_length) == ("zstd", PLACE.sequence, 800)
    assert (claimed.binding, claimed.timestamp_ms) == (PLACE.binding, 1_790_000_000_000)
    assert claimed.blob_sha256 is None
    verified = verify_blob(blob, place=PLACE, writers=scene.writers)
    assert verified.blob_sha256 == hashlib.sha256(blob).digest()
    assert verified.blob_length == len(blob)


def test_sealing_names_the_chunk_by_its_own_hash() -> None:
    scene = Scene()
    keys = {"recipient": scene.identity.recipient, "writer": scene.writer}
    blob, name = seal_named(compress(b"x"), place=PLACE, timestamp_ms=0, **keys)
    assert name == hashlib.sha256(blob).digest()


def test_a_recipient_and_a_writer_are_enough_to_seal() -> None:
    scene = Scene()
    worker = Recipient(scene.identity.recipient.public)
    blob = seal(compress(b"secret"), place=PLACE, timestamp_ms=0, recipient=worker, writer=scene.writer)
    assert scene.open(bytes(blob)) == b"secret"
    assert not hasattr(worker, "private_bytes")


def test_bytearrays_and_memoryviews_open_like_bytes() -> None:
    scene = Scene()
    blob = scene.seal(noise(3000))
    for kind in (bytes, bytearray, memoryview):
        opened = open_blob(kind(blob), place=PLACE, identity=scene.identity, writers=scene.writers)
        assert opened == noise(3000)


def test_content_after_content_of_another_length_is_not_mixed_up_in_reused_buffers() -> None:
    scene = Scene()
    for length in (50_000, 10, 0, 70_000, 17 << 20, 10):
        raw = noise(length, seed=length)
        assert scene.open(scene.seal(raw)) == raw


@pytest.mark.parametrize(
    "packed",
    [
        Packed("brotli", 1, bytes(32), b"x"),
        Packed("none", 2, bytes(32), b"x"),
        Packed("zstd", 1, bytes(32), b"longer than the content"),
        Packed("none", (64 << 20) + 1, bytes(32), bytes((64 << 20) + 1)),
        Packed("none", 1, b"short digest", b"x"),
        Packed("none", -1, bytes(32), b""),
    ],
    ids=["unknown codec", "wrong length", "grown", "over 64 MiB", "digest", "negative"],
)
def test_a_packed_content_out_of_bounds_is_refused(packed: Packed) -> None:
    scene = Scene()
    with pytest.raises(Refused):
        seal(packed, place=PLACE, timestamp_ms=0, recipient=scene.identity.recipient, writer=scene.writer)


@pytest.mark.parametrize("timestamp", [-1, 1 << 64, 1.5])
def test_a_timestamp_that_does_not_fit_is_refused(timestamp: int) -> None:
    scene = Scene()
    keys = {"recipient": scene.identity.recipient, "writer": scene.writer}
    with pytest.raises(Refused, match="timestamp"):
        seal(compress(b"x"), place=PLACE, timestamp_ms=timestamp, **keys)


@pytest.mark.parametrize("track", ["", "Screen", "a_b", "a\0", "-a", "é", "a" * 33, "a\n", "a/b"])
def test_a_track_that_could_be_mistaken_for_another_is_refused(track: str) -> None:
    with pytest.raises(Refused, match="track"):
        Place(REPOSITORY, SESSION, track, 1)


@pytest.mark.parametrize("sequence", [-1, 1 << 64])
def test_a_sequence_beyond_64_bits_is_refused(sequence: int) -> None:
    with pytest.raises(Refused, match="sequence"):
        Place(REPOSITORY, SESSION, "screen", sequence)


def test_a_repository_of_another_length_is_refused() -> None:
    with pytest.raises(Refused, match="16 bytes"):
        Place(b"short", SESSION, "screen", 1)


@pytest.mark.parametrize("public", [bytes(32), (1).to_bytes(32, "little")])
def test_a_recipient_that_is_no_real_key_is_refused(public: bytes) -> None:
    with pytest.raises(Refused, match="not a usable"):
        seal(compress(b"x"), place=PLACE, timestamp_ms=0, recipient=Recipient(public), writer=Scene().writer)


def test_keys_do_not_show_their_private_half_when_printed() -> None:
    scene = Scene()
    for key in (scene.identity, scene.writer):
        assert key.private_bytes.hex() not in repr(key)
        assert "0707" not in repr(key)


def test_a_key_made_again_from_its_private_half_is_the_same_key() -> None:
    identity = Identity.generate()
    assert Identity.from_private(identity.private_bytes).recipient == identity.recipient
