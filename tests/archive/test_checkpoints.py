import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sigstore._internal.rekor.checkpoint import SignedCheckpoint
from sigstore._utils import KeyID
from sigstore.errors import VerificationError

from lucid_sessions.archive import (
    EMPTY_ROOT,
    Checkpoint,
    LogKey,
    leaf_hash,
    open_checkpoint,
    parse_vkey,
    sign_checkpoint,
)
from lucid_sessions.errors import Refused
from tests.archive.parts import is_tampered

ORIGIN = "archive.example/sessions"
KEY = LogKey.from_private(ORIGIN, bytes([6]) * 32)
CHECKPOINT = Checkpoint(ORIGIN, 42, leaf_hash(b"root"))
NOTE = sign_checkpoint(CHECKPOINT, KEY)


class Keyring:
    """What sigstore asks to check a signature."""

    def __init__(self, vkey: str) -> None:
        self.public = parse_vkey(vkey)[1]

    def verify(self, *, key_id: KeyID, signature: bytes, data: bytes) -> None:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, data)
        except InvalidSignature as error:
            raise VerificationError("signature") from error


def sigstore_opens(note: str) -> SignedCheckpoint:
    signed = SignedCheckpoint.from_text(note)
    signed.signed_note.verify(Keyring(KEY.vkey), KeyID(bytes.fromhex(KEY.vkey.split("+")[1])))
    return signed


def signed_text(text: str, key: LogKey = KEY) -> str:
    return f"{text}\n{key.sign(text)}"


def test_a_checkpoint_opens_with_the_logs_verifier_key() -> None:
    assert open_checkpoint(NOTE, KEY.vkey) == CHECKPOINT


def test_the_note_is_c2sps_to_the_byte() -> None:
    public = parse_vkey(KEY.vkey)[1]
    key_hash = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + public).digest()[:4]
    text = f"{ORIGIN}\n42\n{base64.b64encode(CHECKPOINT.root).decode()}\n"
    assert NOTE.startswith(f"{text}\n— {ORIGIN} ")
    signature = base64.b64decode(NOTE.rsplit(" ", 1)[1])
    assert (signature[:4], len(signature)) == (key_hash, 68)
    Ed25519PublicKey.from_public_bytes(public).verify(signature[4:], text.encode())
    assert KEY.vkey == f"{ORIGIN}+{key_hash.hex()}+{base64.b64encode(bytes([1]) + public).decode()}"


def test_sigstore_parses_and_verifies_the_checkpoint() -> None:
    theirs = sigstore_opens(NOTE).checkpoint
    assert (theirs.origin, theirs.log_size, theirs.log_hash) == (ORIGIN, 42, CHECKPOINT.root.hex())


@pytest.mark.parametrize(
    "forged",
    [
        NOTE.replace("\n42\n", "\n43\n"),
        NOTE.replace(base64.b64encode(CHECKPOINT.root).decode(), base64.b64encode(EMPTY_ROOT).decode()),
        NOTE.replace(ORIGIN, "archive.example/other"),
        sign_checkpoint(CHECKPOINT, LogKey.generate(ORIGIN)),
    ],
    ids=["size", "root", "origin", "key"],
)
def test_a_forged_checkpoint_is_refused_by_us_and_by_sigstore(forged: str) -> None:
    assert is_tampered(lambda: open_checkpoint(forged, KEY.vkey))
    with pytest.raises(VerificationError):
        sigstore_opens(forged)


def test_every_changed_character_is_caught() -> None:
    for at, character in enumerate(NOTE):
        for other in {"A", "\n", " ", "=", chr(ord(character) ^ 1)} - {character}:
            assert is_tampered(lambda n=NOTE[:at] + other + NOTE[at + 1 :]: open_checkpoint(n, KEY.vkey))


def test_every_cut_and_addition_is_caught() -> None:
    assert all(
        is_tampered(lambda n=length: open_checkpoint(NOTE[:n], KEY.vkey)) for length in range(len(NOTE))
    )
    for tail in ("\n", " ", "x", "— x\n", "\n\n", NOTE):
        assert is_tampered(lambda t=tail: open_checkpoint(NOTE + t, KEY.vkey))
        assert is_tampered(lambda t=tail: open_checkpoint(t + NOTE, KEY.vkey))


def test_a_witnesss_signature_is_passed_over_and_is_not_enough() -> None:
    witness = LogKey.generate("witness.example")
    text = CHECKPOINT.to_text()
    assert open_checkpoint(NOTE + witness.sign(text), KEY.vkey) == CHECKPOINT
    assert open_checkpoint(f"{text}\n{witness.sign(text)}{KEY.sign(text)}", KEY.vkey) == CHECKPOINT
    assert is_tampered(lambda: open_checkpoint(f"{text}\n{witness.sign(text)}", KEY.vkey))


def test_a_second_bad_signature_by_the_log_spoils_the_first() -> None:
    assert is_tampered(lambda: open_checkpoint(NOTE + KEY.sign("something else\n"), KEY.vkey))


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n042\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"{ORIGIN}\n+42\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"{ORIGIN}\n-1\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"{ORIGIN}\n٤٢\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"{ORIGIN}\n9223372036854775808\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"{ORIGIN}\n42\n{base64.b64encode(b'short').decode()}\n",
        f"{ORIGIN}\n42\n{base64.b64encode(EMPTY_ROOT).decode()[:-2]}V=\n",
        f"{ORIGIN}\n42\n{base64.urlsafe_b64encode(bytes([255]) * 32).decode()}\n",
        f"{ORIGIN}\n0\n{base64.b64encode(leaf_hash(b'x')).decode()}\n",
        f"{ORIGIN}\n42\n{base64.b64encode(EMPTY_ROOT).decode()}\nextension\n",
        f"{ORIGIN}\n42\n",
        f"other.example\n42\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        "\n",
        "",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_of_ours_is_caught(text: str) -> None:
    assert is_tampered(lambda: open_checkpoint(signed_text(text), KEY.vkey))


@pytest.mark.parametrize(
    "text", ["", "\n\n", "—", "a\n\n— b c\n", "\ud800\n\n— b QUFB\n", "x" * 100_000], ids=len
)
def test_what_is_no_note_is_caught(text: str) -> None:
    assert is_tampered(lambda: open_checkpoint(text, KEY.vkey))


def test_an_empty_log_has_a_checkpoint() -> None:
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert open_checkpoint(sign_checkpoint(empty, KEY), KEY.vkey) == empty


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "a\nb", "é", "x" * 201])
def test_an_origin_that_a_note_cannot_carry_is_refused(origin: str) -> None:
    with pytest.raises(Refused, match="origin"):
        LogKey.generate(origin)


def test_a_key_signs_for_its_own_log_only() -> None:
    with pytest.raises(Refused, match="does not sign"):
        sign_checkpoint(CHECKPOINT, LogKey.generate("other.example"))


def test_a_log_key_made_again_from_its_private_half_is_the_same_and_does_not_show_it() -> None:
    again = LogKey.from_private(ORIGIN, KEY.private_bytes)
    assert again.vkey == KEY.vkey
    assert KEY.private_bytes.hex() not in repr(KEY)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "a",
        "a+b",
        "a+b+c",
        KEY.vkey[:-1],
        KEY.vkey.replace("archive", "archivf"),
        KEY.vkey.replace("+", " "),
        f"{ORIGIN}+00000000+{KEY.vkey.split('+', 2)[2]}",
        f"{ORIGIN}+{KEY.vkey.split('+')[1]}+{base64.b64encode(bytes([2]) + bytes(32)).decode()}",
        "é" + KEY.vkey,
    ],
)
def test_a_broken_verifier_key_is_the_callers_mistake(vkey: str) -> None:
    with pytest.raises(Refused):
        open_checkpoint(NOTE, vkey)
