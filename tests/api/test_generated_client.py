"""A client generated from the OpenAPI document does it all: create, start, stop, download, verify."""

import hashlib
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lucid_sessions import archive
from tests.operations.processes import ROOT, output, running
from tests.ports import free_port
from tests.waiting import until

PACKAGE = "lucid_sessions_client"
# Media that the generator does not know by name.
BYTES = "application/octet-stream"
OVERRIDES = {
    "video/mp4": BYTES,
    "image/webp": BYTES,
    "application/zip": BYTES,
    "application/vnd.apple.mpegurl": "text/plain",
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The generated package's directory, importable while the tests here run."""
    folder = tmp_path_factory.mktemp("client")
    document = folder / "schema.yml"
    _run("manage.py", "spectacular", "--file", str(document), "--fail-on-warn")
    settings = folder / "settings.yml"
    settings.write_text(json.dumps({"post_hooks": [], "content_type_overrides": OVERRIDES}))
    made = folder / "made"
    said = _run(
        *("-m", "openapi_python_client", "generate", "--path", str(document), "--config", str(settings)),
        *("--output-path", str(made), "--meta", "none"),
    )
    assert "WARNING" not in said, said
    made.rename(folder / PACKAGE)
    sys.path.insert(0, str(folder))
    yield folder / PACKAGE
    sys.path.remove(str(folder))


def _run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def call(operation: str, **arguments: Any) -> Any:
    """What the generated function for this operation parsed from the answer, which must be a success."""
    group = {"sessions": "sessions", "chunks": "sessions", "auth": "auth"}[operation.partition("_")[0]]
    module = importlib.import_module(f"{PACKAGE}.api.{group}.{operation}")
    answer = module.sync_detailed(**arguments)
    assert answer.status_code < 300, answer.content
    return answer


def wait_for(ask: Callable[[], str], status: str) -> None:
    until(lambda: ask() == status, status)


def test_a_generated_client_records_downloads_and_verifies(generated: Path, tmp_path: Path) -> None:
    client = importlib.import_module(PACKAGE)
    models = importlib.import_module(f"{PACKAGE}.models")
    home, port = tmp_path / "home", free_port()
    with running(home, "run", "--port", str(port), "--flower-port", str(free_port())) as process:
        until(lambda: "Ctrl-C stops everything" in output(home) or process.poll() is not None, "it is up")
        assert process.poll() is None, output(home)
        url = f"http://127.0.0.1:{port}"
        password = (home / "keys" / "secrets" / "admin_password").read_text().strip()
        credentials = models.CredentialsRequest(username="admin", password=password)
        pair = call("auth_token", client=client.Client(base_url=url), body=credentials).parsed
        signed_in = client.AuthenticatedClient(base_url=url, token=pair.access)
        wanted = models.NewSessionRequest.from_dict(
            {"name": "by a generated client", "source": {"kind": "synthetic"}}
        )
        made = call("sessions_create", client=signed_in, body=wanted).parsed

        def status() -> str:
            return str(call("sessions_retrieve", client=signed_in, session_id=made.id).parsed.status)

        call("sessions_start", client=signed_in, session_id=made.id)
        wait_for(status, "recording")
        until(lambda: list((home / "spool").rglob("*_screen_*")), "a picture is recorded")
        time.sleep(2)
        call("sessions_stop", client=signed_in, session_id=made.id)
        wait_for(status, "completed")
        screen = models.ChunksListTrack("screen")
        page = call("chunks_list", client=signed_in, session_id=made.id, track=screen).parsed
        one = page.items[0]
        blob = call("chunks_download", client=signed_in, session_id=made.id, chunk_id=one.id).content
        proof = call("chunks_proof", client=signed_in, session_id=made.id, chunk_id=one.id).parsed
        assert hashlib.sha256(blob).hexdigest() == one.blob == proof.leaf.to_dict()["blob"]
        verify(proof)


def verify(proof: Any) -> None:
    """From the blob's leaf to the signed checkpoint, by the paths that the API gave."""
    checkpoint = archive.open_checkpoint(proof.checkpoint, proof.log_key)
    archive.verify_inclusion(
        bytes.fromhex(proof.leaf_hash),
        index=proof.batch_index,
        size=proof.batch_size,
        proof=[bytes.fromhex(node) for node in proof.batch_proof],
        root=bytes.fromhex(json.loads(proof.batch.entry)["root"]),
    )
    archive.verify_inclusion(
        hashlib.sha256(b"\0" + proof.batch.entry.encode()).digest(),
        index=proof.batch.index,
        size=checkpoint.size,
        proof=[bytes.fromhex(node) for node in proof.batch.proof],
        root=checkpoint.root,
    )
