"""The bundle proves a session to someone who has only Python: its verifier imports nothing of ours."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lucid_sessions.archive import LogKey, verifier
from lucid_sessions.errors import Refused
from lucid_sessions.recordings import evidence, ledger_rows, reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session
from tests import factories
from tests.archive.independent_reader import Expected, open_chunk
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bundle(world: Installation, tmp_path: Path) -> Path:
    for writer in world.keys.public["writers"]:
        ledger_rows.request("writer-added", key=f"writer-added:{writer['key_id']}", facts=writer)
    session = factories.recorded_session(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    evidence.write(session, tmp_path / "evidence.zip", disclose=frozenset({"media", "keys"}))
    return tmp_path / "evidence.zip"


def _verified(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The verifier as its user runs it: the file from the bundle, in an isolated interpreter."""
    script = place.parent / "verify.py"
    script.write_bytes(zipfile.ZipFile(place).read("verify.py"))
    argv = [sys.executable, "-I", str(script), str(place), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_bundle_verifies_with_nothing_but_python(bundle: Path, world: Installation) -> None:
    result = _verified(bundle, "--log-key", world.keys.log_vkey)
    assert result.returncode == 0, result.stdout
    assert "3 blobs: hashes, places and signatures hold" in result.stdout


def test_the_wrong_log_key_is_refused(bundle: Path) -> None:
    other = LogKey.generate("test.invalid/lucid-sessions")
    result = _verified(bundle, "--log-key", other.vkey)
    assert (result.returncode, result.stdout) == (1, "FAIL the checkpoint is not signed by the log's key\n")


@pytest.mark.parametrize("which", ["blobs/", "bodies/", "records/", "checkpoint", "media/", "keys/"])
def test_any_changed_file_is_found(bundle: Path, which: str) -> None:
    _rewrite(bundle, change=lambda name, content: _flipped(content) if name.startswith(which) else content)
    assert _verified(bundle).returncode == 1


@pytest.mark.parametrize("which", ["blobs/", "bodies/", "records/", "checkpoint"])
def test_a_changed_file_is_found_even_when_the_manifest_agrees(bundle: Path, which: str) -> None:
    _rewrite(
        bundle,
        change=lambda name, content: _flipped(content) if name.startswith(which) else content,
        agree=True,
    )
    result = _verified(bundle)
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
        assert verifier.ed25519_holds(public, signature, message)
        for place in (0, 31, 32, 63):
            forged = bytearray(signature)
            forged[place] ^= 1
            assert not verifier.ed25519_holds(public, bytes(forged), message)
        assert not verifier.ed25519_holds(public, signature, message + b"x")


def _flipped(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def _rewrite(bundle: Path, *, change: Callable[[str, bytes], bytes], agree: bool = False) -> None:
    """The bundle again with its files changed; with `agree` the manifest lists them as they now are."""
    with zipfile.ZipFile(bundle) as members:
        files = {name: change(name, members.read(name)) for name in members.namelist()}
    if agree:
        manifest = json.loads(files["manifest.json"])
        manifest["files"] = {name: hashlib.sha256(files[name]).hexdigest() for name in manifest["files"]}
        files["manifest.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as members:
        for name, content in files.items():
            members.writestr(name, content)
    bundle.write_bytes(out.getvalue())
