"""The bundle proves a session to someone who has only Python: its verifier imports nothing of ours."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lucid_sessions.archive import LogKey, plain_proofs
from lucid_sessions.errors import Refused
from lucid_sessions.recordings import evidence, reconcile, sealing
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Gap, Session
from tests import factories
from tests.archive.independent_reader import Expected, open_chunk
from tests.recordings.archived import revoke, sealed, shorter_seal, sign
from tests.recordings.bundles import keep, name_the_writers, rewrite, verified

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own_bundle(world: Installation, tmp_path: Path) -> Path:
    """The bundle of a session that is in this test's world."""
    name_the_writers(world)
    session = factories.recorded_session(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    evidence.write(session, tmp_path / "evidence.zip", disclose=frozenset({"media", "keys"}))
    return tmp_path / "evidence.zip"


@pytest.fixture(scope="module")
def made() -> list[bytes]:
    """The first bundle, once there is one."""
    return []


@pytest.fixture
def bundle(made: list[bytes], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the first, for who needs no more than the file; its keys are those of all worlds."""
    if not made:
        made.append(request.getfixturevalue("own_bundle").read_bytes())
    place = tmp_path / "evidence.zip"
    place.write_bytes(made[0])
    return place


def test_a_bundle_verifies_with_nothing_but_python(bundle: Path, world: Installation) -> None:
    result = verified(bundle, "--log-key", world.keys.log_vkey)
    assert result.returncode == 0, result.stdout
    assert "3 blobs: hashes, places and signatures hold" in result.stdout


def test_the_wrong_log_key_is_refused(bundle: Path) -> None:
    other = LogKey.generate("test.invalid/lucid-sessions")
    result = verified(bundle, "--log-key", other.vkey)
    assert (result.returncode, result.stdout) == (1, "FAIL the checkpoint is not signed by the log's key\n")


@pytest.mark.parametrize("key", ["", "deadbeef", "name+deadbeef+no base64"])
def test_what_is_no_key_is_a_wrong_argument_and_says_nothing_of_the_bundle(bundle: Path, key: str) -> None:
    result = verified(bundle, "--log-key", key)
    assert result.returncode == 2
    assert result.stdout.startswith("--log-key is no verifier key")


def test_a_gap_says_of_which_track_it_is(world: Installation, tmp_path: Path) -> None:
    name_the_writers(world)
    session = factories.recorded_session(world)
    for track in ("input", "screen"):
        Gap.objects.create(
            session=session,
            track=track,
            take=1,
            number=1,
            from_us=8_000_000,
            to_us=9_500_000,
            reason="paused",
        )
    reconcile.work_inline(world)
    session.refresh_from_db()
    evidence.write(session, tmp_path / "evidence.zip")
    told = verified(tmp_path / "evidence.zip").stdout
    assert "gap, recorded as such: track input, 8.000 s to 9.500 s: paused" in told
    assert "gap, recorded as such: track screen, 8.000 s to 9.500 s: paused" in told


@pytest.mark.parametrize("which", ["blobs/", "bodies/", "records/", "checkpoint", "media/", "keys/"])
def test_any_changed_file_is_found(bundle: Path, which: str) -> None:
    rewrite(bundle, change=lambda name, content: _flipped(content) if name.startswith(which) else content)
    assert verified(bundle).returncode == 1


@pytest.mark.parametrize("which", ["blobs/", "bodies/", "records/", "checkpoint"])
def test_a_changed_file_is_found_even_when_the_manifest_agrees(bundle: Path, which: str) -> None:
    rewrite(
        bundle,
        change=lambda name, content: _flipped(content) if name.startswith(which) else content,
        agree=True,
    )
    result = verified(bundle)
    assert result.returncode == 1
    assert "manifest" not in result.stdout


def test_with_the_keys_anyone_can_decrypt_by_the_published_format(bundle: Path, world: Installation) -> None:
    with zipfile.ZipFile(bundle) as members:
        manifest = json.loads(members.read("manifest.json"))
        private = bytes.fromhex(members.read("keys/screen.x25519").decode())
        sealed = json.loads(members.read(f"records/{manifest['sealed']}.json"))
        leaves = json.loads(members.read(f"bodies/{sealed['body']}.json"))["leaves"]
        blobs = [members.read(f"blobs/{leaf['blob']}") for leaf in leaves]
    writers = {bytes.fromhex(w["key_id"]): bytes.fromhex(w["public"]) for w in world.keys.public["writers"]}
    for number, (leaf, blob) in enumerate(zip(leaves, blobs, strict=True), start=1):
        place = UUID(leaf["session"]).bytes, leaf["track"], leaf["sequence"]
        expected = Expected(bytes.fromhex(manifest["repository"]), *place, writers)
        content = open_chunk(blob, expected, session_private=private)
        assert content == factories.segment_bytes(number)


def test_it_says_what_it_cannot_show(bundle: Path) -> None:
    said = [line for line in verified(bundle).stdout.splitlines() if line.startswith("NOT SHOWN")]
    assert len(said) == 2
    assert "revoked a writer, or sealed this session again" in said[0]
    assert "media/session.mp4 is bound by the manifest only" in said[1]
    with zipfile.ZipFile(bundle) as members:
        assert "another film with its hash put there would pass" in members.read("README.txt").decode()


def test_chunks_that_a_writer_signed_after_its_revocation_do_not_count(
    world: Installation, own_bundle: Path, tmp_path: Path
) -> None:
    (own,) = world.keys.public["writers"]
    before = Session.objects.get()
    revoke(own, world, size=world.log().size)
    evidence.write(before, tmp_path / "before.zip")
    assert verified(tmp_path / "before.zip").returncode == 0
    evidence.write(sealed(world, name="after"), tmp_path / "after.zip")
    result = verified(tmp_path / "after.zip")
    assert result.returncode == 1
    assert "its writer is not one that the log names, or was revoked before" in result.stdout


def test_earlier_seals_are_in_it_and_the_newest_holds_what_they_held(
    world: Installation, own_bundle: Path, tmp_path: Path
) -> None:
    session = Session.objects.get()
    factories.gap(session, world, from_us=1, to_us=2, reason="paused")
    factories.file_spool(world)
    sealing.seal(world)
    evidence.write(session, tmp_path / "again.zip")
    result = verified(tmp_path / "again.zip")
    assert (result.returncode, "1 earlier seals" in result.stdout) == (0, True), result.stdout
    rewrite(tmp_path / "again.zip", change=keep, manifest={"earlier": []})
    assert "NOT SHOWN: what record 2 sealed before" in verified(tmp_path / "again.zip").stdout


def test_a_bundle_of_the_first_releases_is_still_read(bundle: Path) -> None:
    def older(name: str, content: bytes) -> bytes:
        if name != "manifest.json":
            return content
        said = json.loads(content)
        return json.dumps({key: said[key] for key in said if key not in ("revoked", "earlier")}).encode()

    rewrite(bundle, change=older)
    assert verified(bundle).returncode == 0


def test_a_seal_that_leaves_out_what_an_earlier_one_held_is_found(
    world: Installation, own_bundle: Path, tmp_path: Path
) -> None:
    session = Session.objects.get()
    sign(shorter_seal(session, world, without=2), world)
    evidence.write(session, tmp_path / "cut.zip")
    result = verified(tmp_path / "cut.zip")
    assert (result.returncode, "chunk 2 of take 1" in result.stdout) == (1, True), result.stdout


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"sealed": 1}, "record 1 is not of kind sealed"),
        ({"batches": [0]}, "record 0 is not of kind batch"),
        ({"revoked": [0]}, "record 0 is not of kind writer-revoked"),
        ({"writers": [1]}, "record 1 is not of kind writer-added"),
        ({"session": "0197a5a0-0000-7000-8000-000000000000"}, "is of another session"),
    ],
)
def test_a_record_counts_only_as_what_it_is(bundle: Path, manifest: dict[str, object], why: str) -> None:
    rewrite(bundle, change=keep, manifest=manifest)
    result = verified(bundle)
    assert (result.returncode, why in result.stdout) == (1, True), result.stdout


def test_a_member_that_expands_beyond_all_measure_costs_no_memory(bundle: Path) -> None:
    bomb = b"[" + b"[]," * (30 << 20) + b"[]]"
    for name in ("manifest.json", "checkpoint"):
        rewrite(bundle, change=lambda one, content, name=name: bomb if one == name else content)
        result = verified(bundle, most_memory=400 << 20)
        assert (result.returncode, result.stderr) == (1, ""), result.stderr[-500:]


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../../secret", "blobs/../../secret", "C:secret", "a\\..\\b"]
)
def test_no_name_leads_out_of_a_bundle(bundle: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "one" / "two"
    zipfile.ZipFile(bundle).extractall(folder)
    (tmp_path / "secret").write_text("s")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": {name: "00" * 32}}))
    result = subprocess.run(
        [sys.executable, "-I", "verify.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (1, f"FAIL {name} is no name in a bundle\n")


def test_no_link_leads_out_of_a_bundle(bundle: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(bundle).extractall(tmp_path / "folder")
    (tmp_path / "folder" / "README.txt").unlink()
    (tmp_path / "folder" / "README.txt").symlink_to("/etc/hostname")
    result = subprocess.run(
        [sys.executable, "-I", "verify.py"],
        cwd=tmp_path / "folder",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "FAIL README.txt is no file of the bundle\n")


def test_an_unsealed_session_gives_no_bundle_and_leaves_no_file(world: Installation, tmp_path: Path) -> None:
    session = factories.recorded_session(world)
    with pytest.raises(Refused, match="not sealed"):
        evidence.write(session, tmp_path / "evidence.zip")
    assert list(tmp_path.glob("*evidence*")) == []
    assert Session.objects.count() == 1


def test_the_verifiers_signatures_agree_with_another_implementation() -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    for length in (0, 1, 100):
        message = bytes(length)
        signature = key.sign(message)
        assert plain_proofs.ed25519_holds(public, signature, message)
        for place in (0, 31, 32, 63):
            forged = bytearray(signature)
            forged[place] ^= 1
            assert not plain_proofs.ed25519_holds(public, bytes(forged), message)
        assert not plain_proofs.ed25519_holds(public, signature, message + b"x")


def _flipped(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)
