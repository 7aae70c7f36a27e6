"""Whatever the bytes, a reader answers with content, or with Tampered; never with another exception."""

import struct
from contextlib import suppress
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lucid_sessions.archive import (
    EMPTY_ROOT,
    Identity,
    LogKey,
    Packed,
    Place,
    Statement,
    compress,
    expand,
    open_checkpoint,
    open_slot,
    read_header,
    sign_checkpoint,
    unbundle_entries,
    unseal_session_key,
    verify_consistency,
    verify_inclusion,
)
from lucid_sessions.archive.checkpoint import Checkpoint
from lucid_sessions.errors import Tampered
from tests.archive.forging import Lie, forge, sign
from tests.archive.parts import REPOSITORY, SESSION, Scene

quick = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
CODECS = st.sampled_from(["none", "zstd", "lz4", "gzip"])
RAW = b"desktop " * 64
SCENE = Scene()
BLOBS = [SCENE.seal(RAW, want=want) for want in ("none", "zstd", "lz4", "gzip")]
KEY = LogKey.from_private("fuzz.example", bytes([6]) * 32)
NOTE = sign_checkpoint(Checkpoint("fuzz.example", 0, EMPTY_ROOT), KEY)
STATEMENT = Statement(REPOSITORY, SESSION, "screen", SCENE.identity.recipient.public).sign(SCENE.writer)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with a few pieces replaced, cut out or put in."""
    made = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(made)))
        made[at : at + draw(st.integers(0, 12))] = draw(st.binary(max_size=12))
    return bytes(made)


@quick
@given(st.binary(max_size=600))
def test_any_bytes_are_no_chunk(blob: bytes) -> None:
    for prefix in (b"", b"\x89LSC\r\n\x1a\n", BLOBS[0][:16], BLOBS[0][:120]):
        with suppress(Tampered):
            read_header(prefix + blob)
        with suppress(Tampered):
            SCENE.verify(prefix + blob)
            raise AssertionError("a chunk out of nothing")


@quick
@given(st.sampled_from(BLOBS).flatmap(damaged))
def test_a_damaged_chunk_never_opens(blob: bytes) -> None:
    with suppress(Tampered):
        assert SCENE.open(blob) == RAW
        assert blob in BLOBS
    if blob not in BLOBS and len(blob) > 64:
        with suppress(Tampered):
            SCENE.open(sign(blob[:-64], SCENE))
            raise AssertionError("the seal did not hold")


@quick
@given(CODECS, st.data())
def test_damaged_frames_expand_to_the_same_content_or_not_at_all(codec: str, data: st.DataObject) -> None:
    packed = compress(RAW, want=codec)
    payload = data.draw(damaged(bytes(packed.payload)) | st.binary(max_size=300))
    with suppress(Tampered):
        assert expand(Packed(codec, len(RAW), packed.raw_sha256, payload)) == RAW


@quick
@given(
    st.integers(0, 255),
    st.binary(max_size=200),
    st.none() | st.integers(0, (1 << 64) - 1),
    st.none() | st.integers(0, (1 << 64) - 1),
)
def test_an_insiders_lies_about_codec_and_lengths_do_not_confuse(
    codec: int, packed: bytes, plain: int | None, inner: int | None
) -> None:
    lie = Lie(packed=packed, content=packed, codec=codec, plain_length=plain, inner_length=inner)
    with suppress(Tampered):
        assert SCENE.open(forge(lie, SCENE)) == packed


@quick
@given(damaged(STATEMENT.to_bytes()) | st.binary(min_size=168, max_size=168))
def test_a_damaged_statement_is_not_believed(statement: bytes) -> None:
    with suppress(Tampered):
        Statement.from_bytes(statement).verify(SCENE.writer.public)
        assert statement == STATEMENT.to_bytes()


@quick
@given(st.binary(max_size=100) | st.binary(min_size=80, max_size=80))
def test_any_bytes_are_no_sealed_session_key(sealed: bytes) -> None:
    with suppress(Tampered):
        unseal_session_key(sealed, statement=STATEMENT, by=Identity.from_private(bytes([5]) * 32))
        raise AssertionError("a key out of nothing")


@quick
@given(st.binary(max_size=140) | st.binary(min_size=108, max_size=108), st.integers(0, 65_535))
def test_any_bytes_are_no_key_slot_and_cost_no_time(tail: bytes, memory: int) -> None:
    """The memory is below the bound: a slot of the right shape is refused before it costs anything."""
    for slot in (tail, b"LSK1\1\1\0\0" + struct.pack(">I", memory) + tail):
        with suppress(Tampered):
            open_slot(slot, password=b"pw", salt=b"", repository=REPOSITORY)
            raise AssertionError("a slot out of nothing")


@quick
@given(
    damaged(NOTE.encode()).map(lambda note: note.decode("utf-8", "surrogateescape")) | st.text(max_size=200)
)
def test_a_damaged_checkpoint_is_not_believed(note: str) -> None:
    with suppress(Tampered):
        open_checkpoint(note, KEY.vkey)
        assert note == NOTE


@quick
@given(st.integers(-1, 70), st.integers(-1, 70), st.lists(st.binary(min_size=31, max_size=33), max_size=8))
def test_any_proof_is_refused(first: int, second: int, proof: list[bytes]) -> None:
    with suppress(Tampered):
        verify_inclusion(bytes(32), index=first, size=second, proof=proof, root=EMPTY_ROOT)
        raise AssertionError("included in nothing")
    with suppress(Tampered):
        sizes = {"old_size": first, "new_size": second}
        verify_consistency(**sizes, old_root=EMPTY_ROOT, new_root=bytes(32), proof=proof)
        assert first == 0
        assert proof == []


@quick
@given(st.binary(max_size=700))
def test_any_bundle_is_entries_or_tampered(bundle: bytes) -> None:
    with suppress(Tampered):
        assert sum(len(entry) + 2 for entry in unbundle_entries(bundle)) == len(bundle)


@quick
@given(st.binary(max_size=3000), CODECS, st.uuids(), st.integers(0, (1 << 64) - 1))
def test_any_content_comes_back(raw: bytes, want: str, session: UUID, sequence: int) -> None:
    scene = Scene(place=Place(REPOSITORY, session, "screen", sequence))
    assert scene.open(scene.seal(raw, want=want)) == raw
