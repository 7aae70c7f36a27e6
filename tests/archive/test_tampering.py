"""Somebody changed stored bytes. Nothing gets through, and nothing but Tampered comes out."""

from uuid import UUID

import pytest

from lucid_sessions.archive import Identity, Writer, read_header, verify_blob
from lucid_sessions.errors import Refused
from tests.archive.forging import sign
from tests.archive.parts import REPOSITORY, Scene, is_tampered, noise

CONTENT = {"none": noise(60), "zstd": b"desktop " * 20}


def flipped(blob: bytes, bit: int) -> bytes:
    changed = bytearray(blob)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("codec", CONTENT)
def test_every_single_flipped_bit_is_caught_without_a_key(codec: str) -> None:
    scene = Scene()
    blob = scene.seal(CONTENT[codec])
    passed = [
        bit for bit in range(len(blob) * 8) if not is_tampered(lambda b=bit: scene.verify(flipped(blob, b)))
    ]
    assert passed == []


@pytest.mark.parametrize("codec", CONTENT)
def test_every_single_flipped_bit_is_caught_on_opening(codec: str) -> None:
    scene = Scene()
    blob = scene.seal(CONTENT[codec])
    passed = [
        bit for bit in range(len(blob) * 8) if not is_tampered(lambda b=bit: scene.open(flipped(blob, b)))
    ]
    assert passed == []


@pytest.mark.parametrize("codec", CONTENT)
def test_every_flipped_bit_is_caught_even_if_a_trusted_writer_signs_it_again(codec: str) -> None:
    """So the seal itself holds, not only the signature. The timestamp too is under the seal."""
    scene = Scene()
    blob = scene.seal(CONTENT[codec])[:-64]
    forged = (sign(flipped(blob, bit), scene) for bit in range(len(blob) * 8))
    assert all(is_tampered(lambda f=one: scene.open(f)) for one in forged)


def test_every_truncation_is_caught() -> None:
    scene = Scene()
    blob = scene.seal(CONTENT["none"])
    assert all(is_tampered(lambda n=length: scene.open(blob[:n])) for length in range(len(blob)))
    assert all(is_tampered(lambda n=length: scene.verify(blob[:n])) for length in range(len(blob)))


def test_every_beginning_shorter_than_a_header_has_no_header() -> None:
    blob = Scene().seal(b"x")
    assert all(is_tampered(lambda n=length: read_header(blob[:n])) for length in range(232))


def test_a_cut_at_the_front_is_caught() -> None:
    scene = Scene()
    blob = scene.seal(CONTENT["none"])
    assert all(is_tampered(lambda n=start: scene.open(blob[n:])) for start in range(1, len(blob)))


@pytest.mark.parametrize("tail", [b"\0", b"x" * 64, b"\0" * 4096], ids=len)
def test_anything_after_the_end_is_caught(tail: bytes) -> None:
    scene = Scene()
    blob = scene.seal(CONTENT["none"])
    assert is_tampered(lambda: scene.open(blob + tail))
    assert is_tampered(lambda: scene.open(tail + blob))
    assert is_tampered(lambda: scene.open(sign(blob[:-64] + tail, scene)))


def test_two_chunks_in_one_are_caught() -> None:
    scene = Scene()
    assert is_tampered(lambda: scene.open(scene.seal(b"a") + scene.seal(b"b")))


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": (1 << 32) + 8},
        {"sequence": 7},
        {"session": UUID("5e551001-0000-4000-8000-000000000002")},
        {"track": "thumb"},
        {"repository": REPOSITORY[::-1]},
    ],
    ids=["next", "other take", "session", "track", "repository"],
)
def test_a_chunk_swapped_into_another_place_is_caught(change: dict[str, object]) -> None:
    here = Scene()
    there = here.elsewhere(**change)
    assert is_tampered(lambda: there.verify(here.seal(b"x")))
    assert is_tampered(lambda: here.open(there.seal(b"x")))


def test_the_track_cannot_lend_its_letters_to_the_session() -> None:
    """Session and track are joined without a separator: the session's fixed length keeps them apart."""
    here = Scene().elsewhere(track="ab")
    assert is_tampered(lambda: here.elsewhere(track="a").verify(here.seal(b"x")))


def test_another_sessions_key_does_not_open_a_chunk() -> None:
    blob = Scene().seal(b"x")
    assert is_tampered(lambda: Scene(identity=Identity.generate()).open(blob))


def test_a_chunk_sealed_to_another_key_is_caught_though_its_writer_is_trusted() -> None:
    blob = Scene(identity=Identity.generate()).seal(b"x")
    assert is_tampered(lambda: Scene().open(blob))


def test_a_writer_who_is_not_trusted_is_caught() -> None:
    blob = Scene(writer=Writer.generate()).seal(b"x")
    assert is_tampered(lambda: Scene().verify(blob))


def test_a_stranger_who_signs_under_a_trusted_writers_name_is_caught() -> None:
    scene, stranger = Scene(), Writer.generate()
    blob = sign(scene.seal(b"x")[:-64], Scene(writer=stranger))
    assert is_tampered(lambda: scene.verify(blob))


def test_a_revoked_writer_is_simply_not_in_the_mapping() -> None:
    scene = Scene()
    blob = scene.seal(b"x")
    scene.writer = Writer.generate()
    assert is_tampered(lambda: scene.verify(blob))


def test_a_signature_moved_from_another_chunk_is_caught() -> None:
    scene = Scene()
    first, second = scene.seal(b"x"), scene.seal(b"x")
    assert is_tampered(lambda: scene.verify(first[:-64] + second[-64:]))


def test_parts_of_two_chunks_do_not_make_one() -> None:
    scene = Scene()
    first, second = scene.seal(noise(60)), scene.seal(noise(60))
    for cut in (152, 200, 232, 264, len(first) - 80):
        assert is_tampered(lambda at=cut: scene.open(sign(first[:at] + second[at:-64], scene)))


def test_a_signature_with_a_second_spelling_is_caught() -> None:
    """Ed25519's S plus the group order verifies in careless libraries."""
    scene = Scene()
    blob = scene.seal(b"x")
    order = 2**252 + 27742317777372353535851937790883648493
    again = int.from_bytes(blob[-32:], "little") + order
    assert is_tampered(lambda: scene.verify(blob[:-32] + again.to_bytes(32, "little")))


def test_a_trusted_key_of_the_wrong_length_is_the_callers_mistake() -> None:
    scene = Scene()
    with pytest.raises(Refused):
        verify_blob(scene.seal(b"x"), place=scene.place, writers={scene.writer.key_id: b"short"})
