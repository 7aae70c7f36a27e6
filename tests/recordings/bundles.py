"""Evidence bundles as their user has them: verified by their own verifier, or changed by somebody hostile."""

import hashlib
import io
import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from lucid_sessions.recordings import ledger_rows
from lucid_sessions.recordings.installation import Installation
from tests.waiting import PATIENCE


def name_the_writers(world: Installation) -> None:
    """The log names the writers, as it does wherever `keys announce` was run."""
    for writer in world.keys.public["writers"]:
        ledger_rows.request("writer-added", key=f"writer-added:{writer['key_id']}", facts=writer)


def verified(
    place: Path, *arguments: str, most_memory: int | None = None
) -> subprocess.CompletedProcess[str]:
    """The verifier as its user runs it: the file from the bundle, in an isolated interpreter."""
    script = place.parent / "verify.py"
    script.write_bytes(zipfile.ZipFile(place).read("verify.py"))
    argv = [sys.executable, "-I", str(script), str(place), *arguments]

    def bound() -> None:
        if most_memory:
            resource.setrlimit(resource.RLIMIT_AS, (most_memory, most_memory))

    return subprocess.run(
        argv, capture_output=True, text=True, timeout=PATIENCE, check=False, preexec_fn=bound
    )


def keep(_name: str, content: bytes) -> bytes:
    """For `rewrite`: no file changes."""
    return content


def rewrite(
    bundle: Path,
    *,
    change: Callable[[str, bytes], bytes],
    agree: bool = False,
    manifest: dict[str, object] | None = None,
) -> None:
    """The bundle again with its files changed; with `agree` the manifest lists them as they now are.

    What `manifest` says stands in the place of what it said.
    """
    with zipfile.ZipFile(bundle) as members:
        files = {name: change(name, members.read(name)) for name in members.namelist()}
    if agree:
        said = json.loads(files["manifest.json"])
        said["files"] = {name: hashlib.sha256(files[name]).hexdigest() for name in said["files"]}
        files["manifest.json"] = json.dumps(said).encode()
    if manifest:
        files["manifest.json"] = json.dumps({**json.loads(files["manifest.json"]), **manifest}).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as members:
        for name, content in files.items():
            members.writestr(name, content)
    bundle.write_bytes(out.getvalue())
