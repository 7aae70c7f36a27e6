"""Bundles that somebody made for a court: true records in the wrong places, and names that speak for us."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lucid_sessions.archive import LogKey, plain_note
from lucid_sessions.errors import Tampered
from lucid_sessions.ledger import Anchor, Witness
from lucid_sessions.recordings import evidence, reconcile, sealing
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session
from tests import factories
from tests.recordings.archived import revoke, sealed
from tests.recordings.bundles import keep, name_the_writers, rewrite, verified
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

OURS = "ok   media/session.mp4 was compared with the seal"
A_FILM = hashlib.sha256(b"a film").hexdigest()


def _written(session: Session, place: Path, **more: frozenset[str]) -> Path:
    session.refresh_from_db()
    evidence.write(session, place, **more)
    return place


def _sealed_again(session: Session, place: Path, *, world: Installation, gap: str) -> Path:
    """The bundle after a second seal, which says that a moment is missing, and why."""
    factories.gap(session, world, from_us=1, to_us=2, reason=gap)
    factories.file_spool(world)
    sealing.seal(world)
    return _written(session, place)


@pytest.fixture
def session(world: Installation) -> Session:
    name_the_writers(world)
    found = factories.recorded_session(world)
    reconcile.work_inline(world)
    return found


@pytest.fixture
def place(session: Session, tmp_path: Path) -> Path:
    return _written(session, tmp_path / "evidence.zip")


@pytest.mark.parametrize("by", [-64, 64])
def test_a_record_counts_only_at_its_own_index(world: Installation, place: Path, by: int) -> None:
    """A revoked writer's batch was shown at an index below its revocation."""
    size = world.log().size
    late = sealed(world, name="late")
    sealed(world, name="later")
    (own,) = world.keys.public["writers"]
    revoke(own, world, size=size)
    _written(late, place)
    with zipfile.ZipFile(place) as members:
        manifest = json.loads(members.read("manifest.json"))
        files = {name: members.read(name) for name in members.namelist()}
    (batch,) = manifest["batches"]
    moved = batch + by
    for tail in (".json", ".proof.json"):
        files[f"records/{moved}{tail}"] = files.pop(f"records/{batch}{tail}")
        manifest["files"][f"records/{moved}{tail}"] = manifest["files"].pop(f"records/{batch}{tail}")
    files["manifest.json"] = json.dumps({**manifest, "batches": [moved]}).encode()
    with zipfile.ZipFile(place, "w") as members:
        for name, content in files.items():
            members.writestr(name, content)
    result = verified(place, "--log-key", world.keys.log_vkey)
    assert (result.returncode, f"record {moved} is not in the log" in result.stdout) == (1, True), result


def test_a_second_revocation_gives_a_writer_nothing_back(world: Installation, place: Path) -> None:
    """The log's last word counted, which may be the later size."""
    size = world.log().size
    late = sealed(world, name="late")
    (own,) = world.keys.public["writers"]
    for one in (size, size + 1000):
        revoke(own, world, size=one)
    result = verified(_written(late, place), "--log-key", world.keys.log_vkey)
    assert (result.returncode, "or was revoked before" in result.stdout) == (1, True), result


def test_a_newer_seal_is_not_passed_off_as_an_earlier_one(
    world: Installation, session: Session, tmp_path: Path
) -> None:
    """What only it says, a gap, was not told, and nothing said that it was left out."""
    place = _sealed_again(session, tmp_path / "again.zip", world=world, gap="source lost")
    assert "source lost" in verified(place).stdout
    with zipfile.ZipFile(place) as members:
        manifest = json.loads(members.read("manifest.json"))
    (first,), second = manifest["earlier"], manifest["sealed"]
    rewrite(place, change=keep, manifest={"sealed": first, "earlier": [second]})
    result = verified(place)
    assert (result.returncode, f"the seal of record {second} is newer" in result.stdout) == (1, True), result


def test_it_says_of_which_session_it_is(session: Session, place: Path) -> None:
    assert f"ok   session {session.pk}\n" in verified(place).stdout


def test_what_the_manifest_does_not_list_is_named(place: Path) -> None:
    with zipfile.ZipFile(place, "a") as members:
        members.writestr("media/session.mp4", b"a film")
    result = verified(place)
    assert result.returncode == 0, result
    assert "NOT SHOWN: anything of media/session.mp4: the manifest does not list it\n" in result.stdout


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_no_bundle(place: Path) -> None:
    with zipfile.ZipFile(place, "a") as members:
        members.writestr("README.txt", members.read("README.txt"))
    result = verified(place)
    assert (result.returncode, result.stdout) == (1, "FAIL README.txt is in the bundle twice\n")


@pytest.mark.parametrize("listed", [True, False])
def test_no_name_makes_a_line_of_its_own(place: Path, listed: bool) -> None:
    name = f"media/film\n{OURS}\nNOT SHOWN: the rest\u2028\x1b[1A\x1b[2K"
    with zipfile.ZipFile(place, "a") as members:
        members.writestr(name, b"a film")
        files = json.loads(members.read("manifest.json"))["files"]
    if listed:
        rewrite(place, change=keep, manifest={"files": {**files, name: A_FILM}})
    said = verified(place).stdout
    assert "the rest" in said
    assert OURS not in said.splitlines()
    assert said.replace("\n", "").isprintable()


def test_what_a_terminal_cannot_show_is_no_finding(
    world: Installation, session: Session, tmp_path: Path
) -> None:
    """Output into a file under Windows ended in a stack trace, and with 1."""
    place = _sealed_again(session, tmp_path / "again.zip", world=world, gap="source lost: büro → 会議")
    assert "büro → 会議" in verified(place).stdout
    told = subprocess.run(
        [sys.executable, tmp_path / "verify.py", place],
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, b"")
    assert "source lost: büro \\u2192 \\u4f1a\\u8b70" in told.stdout.decode("cp1252")


@pytest.mark.parametrize("member", ["sealed", "batches"])
def test_a_number_that_is_none_is_a_verdict_and_no_stack_trace(place: Path, member: str) -> None:
    endless = float("inf")
    rewrite(place, change=keep, manifest={member: endless if member == "sealed" else [endless]})
    result = verified(place)
    assert (result.returncode, result.stderr) == (1, "")


def test_a_checkpoint_is_read_as_strictly_as_the_format_says(place: Path) -> None:
    def changed(line: str) -> str:
        dash, origin, encoded = line.split(" ")
        signature = bytearray(base64.b64decode(encoded))
        signature[-1] ^= 1
        return f"{dash} {origin} {base64.b64encode(bytes(signature)).decode()}"

    with zipfile.ZipFile(place) as members:
        note = members.read("checkpoint").decode()
    line = note.splitlines()[-1]
    # The same bytes once more: the last digit before the padding has two bits to spare.
    spelt = f"{line[:-2]}{chr(ord(line[-2]) + 1)}="
    assert base64.b64decode(spelt.split(" ")[2]) == base64.b64decode(line.split(" ")[2])
    for after, why in (
        (f"{spelt}\n", "not in its one form"),
        (f"{changed(line)}\n{line}\n", "by the log's key does not hold"),
        (f"{line}\nbelow it anything\n", "is no signature"),
        (f"{line}\n— a+b {line.split(' ')[2]}\n", "is no signature"),
        (f"{line}\n" + "— w AAAA\n" * 8000, "is not a signed note"),
        (f"{line}", "is not a signed note"),
    ):
        forged = note.replace(f"{line}\n", after).encode()
        rewrite(place, change=lambda n, c, forged=forged: forged if n == "checkpoint" else c, agree=True)
        result = verified(place)
        assert (result.returncode, why in result.stdout) == (1, True), result


def test_a_size_is_spelt_in_one_way() -> None:
    """Two notes that say the same are two checkpoints to everybody who compares them."""
    key, root = LogKey.generate("log.example/one"), base64.b64encode(bytes(32)).decode()

    def opened(size: str, root: str = root) -> tuple[int, bytes]:
        text = f"{key.origin}\n{size}\n{root}\n"
        return plain_note.open_checkpoint(f"{text}\n{key.sign(text)}", key.vkey)

    assert opened("17") == (17, bytes(32))
    for size in ("017", "+17", " 17", "17 ", "1_7", "-17", "\u0661\u0667", str(1 << 63)):
        with pytest.raises(plain_note.Failure):
            opened(size)
    for other in (root.replace("=", ""), f" {root}", root[:-2] + "B=", base64.b64encode(bytes(31)).decode()):
        with pytest.raises((plain_note.Failure, ValueError)):
            opened("17", other)


def test_a_key_with_a_slip_in_it_says_nothing_of_the_bundle(place: Path, world: Installation) -> None:
    key = world.keys.log_vkey
    slip = key[:-6] + ("A" if key[-6] != "A" else "B") + key[-5:]
    result = verified(place, "--log-key", slip)
    assert (result.returncode, "is no verifier key" in result.stdout) == (2, True), result


def test_either_key_of_a_witness_that_signs_with_two_is_enough(
    world: Installation, session: Session, tmp_path: Path
) -> None:
    """While it changes its key, say; what the archive itself takes for good was "does not hold" here."""
    note = (world.log().checkpoint_text() or "").encode()
    old, new = LogKey.generate("witness.example/w"), LogKey.generate("witness.example/w")
    proof = note + _cosignature(old, note) + _cosignature(new, note)
    size = world.log().size
    world.log().anchors.add(Anchor(size, "two-keys", note, proof, ".cosigned"))
    world.log().anchors.add(Anchor(size, "clock-house", note, hashlib.sha256(note).digest(), ".tsr"))
    with zipfile.ZipFile(_written(session, tmp_path / "evidence.zip")) as members:
        members.extractall(tmp_path / "bundle")
        (cosigned,) = [Path(name).name for name in members.namelist() if name.endswith(".cosigned")]
    for key in (old, new):
        witness = Witness("two-keys", "https://witness.example/", _witness_key(key))
        assert witness.verify(proof, note).timestamp() == 1_700_000_000
        told = _anchors_of(tmp_path / "bundle", "--witness-key", _witness_key(key))
        assert (told.returncode, told.stderr) == (0, "")
        assert "ok   cosigned by witness.example/w at 2023-11-14T22:13:20+00:00\n" in told.stdout
        assert "note anchors/clock-house.tsr is not checked here: see README.txt (openssl)\n" in told.stdout
    # The same bytes once more, spelt as the archive does not take them: other spare bits, junk within.
    for spelt in (proof[:-4] + bytes([proof[-4] + 1]) + proof[-3:], proof[:-4] + b"!" + proof[-4:]):
        assert base64.b64decode(spelt.split()[-1]) == base64.b64decode(proof.split()[-1])
        (tmp_path / "bundle" / "anchors" / cosigned).write_bytes(spelt)
        told = _anchors_of(tmp_path / "bundle", "--witness-key", _witness_key(new))
        assert (told.returncode, "ok " in told.stdout) == (1, False), told
        with pytest.raises(Tampered):
            witness.verify(spelt, note)
    (tmp_path / "bundle" / "anchors" / cosigned).write_bytes(proof)
    forged = _anchors_of(tmp_path / "bundle", "--witness-key", _witness_key(LogKey.generate(old.origin)))
    assert (forged.returncode, "does not hold" in forged.stdout) == (1, True)


def test_a_writer_that_was_announced_after_a_time_stamp_is_named_in_the_bundle(
    world: Installation, tmp_path: Path
) -> None:
    """The archive was intact, and the bundle said that nobody knows its writer."""

    def stamped(session: Session) -> tuple[int, str]:
        note = (world.log().checkpoint_text() or "").encode()
        stamp = hashlib.sha256(note).digest()
        world.log().anchors.add(Anchor(world.log().size, "clock-house", note, stamp, ".tsr"))
        result = verified(_written(session, tmp_path / "evidence.zip"))
        return result.returncode, result.stdout

    early = sealed(world, name="early")
    assert stamped(early)[0] == 1  # the log does not name it yet
    name_the_writers(world)
    sealing.seal(world)
    assert verified(_written(early, tmp_path / "evidence.zip")).returncode == 0
    first = world.log().size
    code, said = stamped(early)
    assert (code, f"checkpoint of {first} records" in said, "clock-house" in said) == (0, True, True)
    # Whose writer was named before is shown by the first stamp, as ever.
    other = sealed(world, name="other")
    size = world.log().size
    assert stamped(other)[0] == 0
    sealed(world, name="later")
    assert f"checkpoint of {size} records" in stamped(other)[1]


def _anchors_of(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", "verify_anchors.py", *arguments]
    return subprocess.run(argv, cwd=bundle, capture_output=True, text=True, timeout=PATIENCE, check=False)


def _witness_key(key: LogKey) -> str:
    """The verifier key of the same key as a witness's, which is of type 4."""
    public = b"\x04" + base64.b64decode(key.vkey.split("+", 2)[2])[1:]
    named = hashlib.sha256(key.origin.encode() + b"\n" + public).digest()[:4]
    return f"{key.origin}+{named.hex()}+{base64.b64encode(public).decode()}"


def _cosignature(key: LogKey, note: bytes) -> bytes:
    seconds, text = 1_700_000_000, note.decode().rpartition("\n\n")[0] + "\n"
    message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
    signature = Ed25519PrivateKey.from_private_bytes(key.private_bytes).sign(message)
    named = bytes.fromhex(_witness_key(key).split("+")[1])
    content = base64.b64encode(named + seconds.to_bytes(8, "big") + signature).decode()
    return f"— {key.origin} {content}\n".encode()
