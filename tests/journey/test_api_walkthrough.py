"""docs/api.md is true: its commands, as they stand there, against a live system."""

import re
import subprocess
from pathlib import Path

from standardwebhooks import Webhook

from tests.operations.processes import ROOT, output, running
from tests.ports import free_port
from tests.programs import needed
from tests.recordings.receiver import receiving
from tests.waiting import PATIENCE, until

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_walk_through_of_the_api_works_as_it_is_written(tmp_path: Path) -> None:
    needed("curl")
    commands = BLOCK.findall((ROOT / "docs" / "api.md").read_text())
    assert len(commands) > 6
    home, port = tmp_path / "home", free_port()
    work = tmp_path / "work"
    work.mkdir()
    ports = ("--port", str(port), "--flower-port", str(free_port()))
    with (
        receiving() as receiver,
        running(home, "run", *ports, LUCID_WEBHOOK_ALLOW="127.0.0.0/8") as process,
    ):
        until(lambda: "Ctrl-C stops everything" in output(home) or process.poll() is not None, "it is up")
        assert process.poll() is None, output(home)
        given = {
            "LUCID_URL": f"http://127.0.0.1:{port}/api/v1",
            "LUCID_HOOK": receiver.url,
            "LUCID_USER": "admin",
            "LUCID_PASSWORD": (home / "keys" / "secrets" / "admin_password").read_text().strip(),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
            cwd=work,
            env=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("the blob is the one that the log names", "the export is whole", "the same file"):
        assert line in done.stdout, done.stdout
    secret = (work / "webhook.secret").read_text().strip()
    sent = [Webhook(secret).verify(body, headers)["type"] for _, headers, body in receiver.requests]
    assert sent == ["webhook.test"]
