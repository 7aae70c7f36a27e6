import hashlib

import pytest

from lucid_sessions.archive import MAX_PLAIN, Packed, compress, expand
from lucid_sessions.errors import Refused, Tampered
from tests.archive.parts import noise

TEXT = b'{"t":1200,"key":"masked"}\n' * 40_000


@pytest.mark.parametrize("want", ["zstd", "lz4", "gzip"])
def test_text_is_compressed_with_what_was_asked_for(want: str) -> None:
    packed = compress(TEXT, want=want)
    assert packed.codec == want
    assert len(packed.payload) < len(TEXT) / 10
    assert expand(packed) == TEXT


@pytest.mark.parametrize("want", ["zstd", "lz4", "gzip"])
@pytest.mark.parametrize("length", [0, 1, 1000, 200_000, 1_000_000])
def test_what_does_not_compress_is_kept_as_it_is(want: str, length: int) -> None:
    raw = noise(length)
    packed = compress(raw, want=want)
    assert packed.codec == "none"
    assert packed.payload is raw


def test_a_saving_of_a_few_per_cent_is_not_worth_the_time() -> None:
    assert compress(noise(970_000) + bytes(30_000)).codec == "none"
    assert compress(noise(97_000) + bytes(3_000)).codec == "none"


def test_media_with_a_compressible_head_is_judged_by_its_middle_and_end_too() -> None:
    assert compress(bytes(20_000) + noise(1_000_000)).codec == "none"
    assert compress(noise(100_000) + TEXT).codec == "zstd"


def test_none_leaves_everything_alone() -> None:
    assert compress(TEXT, want="none") == Packed("none", len(TEXT), hashlib.sha256(TEXT).digest(), TEXT)


@pytest.mark.parametrize("want", ["zstd", "lz4", "gzip"])
def test_equal_content_gives_equal_bytes(want: str) -> None:
    assert compress(TEXT, want=want) == compress(TEXT, want=want)


def test_the_length_and_hash_are_those_of_the_raw_content() -> None:
    packed = compress(memoryview(TEXT))
    assert (packed.raw_length, packed.raw_sha256) == (len(TEXT), hashlib.sha256(TEXT).digest())


def test_an_unknown_codec_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="brotli"):
        compress(b"x", want="brotli")


def test_more_than_64_mib_is_refused_and_64_mib_is_not() -> None:
    whole = bytes(MAX_PLAIN)
    assert expand(compress(whole)) == whole
    with pytest.raises(Refused, match="limit"):
        compress(bytes(MAX_PLAIN + 1))


@pytest.mark.parametrize("want", ["none", "zstd", "lz4", "gzip"])
def test_every_byte_of_a_packed_content_counts(want: str) -> None:
    """A changed byte is caught, or the frame's own format ignores it and the content is the same."""
    raw = TEXT[:2600]
    packed = compress(raw, want=want)
    for at in range(len(packed.payload)):
        changed = bytearray(packed.payload)
        changed[at] ^= 0x11
        try:
            assert expand(Packed(packed.codec, packed.raw_length, packed.raw_sha256, changed)) == raw
        except Tampered:
            continue


@pytest.mark.parametrize("want", ["none", "zstd", "lz4", "gzip"])
def test_a_wrong_length_or_hash_or_name_is_tampering(want: str) -> None:
    packed = compress(TEXT, want=want)
    for lie in (
        Packed(packed.codec, len(TEXT) + 1, packed.raw_sha256, packed.payload),
        Packed(packed.codec, len(TEXT) - 1, packed.raw_sha256, packed.payload),
        Packed(packed.codec, -1, packed.raw_sha256, packed.payload),
        Packed(packed.codec, MAX_PLAIN + 1, packed.raw_sha256, packed.payload),
        Packed(packed.codec, len(TEXT), bytes(32), packed.payload),
        Packed("brotli", len(TEXT), packed.raw_sha256, packed.payload),
    ):
        with pytest.raises(Tampered):
            expand(lie)
