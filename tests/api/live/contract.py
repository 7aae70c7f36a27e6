"""`python -m tests.api.live.contract [-n CASES] [...]`: schemathesis, all checks, against a live API.

What it does not know goes to schemathesis. With MONGODB_URL the API runs on that MongoDB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.operations.processes import ROOT

from . import live_api

HERE = Path(__file__).parent
CASES = 500
# Which hosts are out of bounds is the matter of settings, not of the document.
ANY = "0.0.0.0/0,::/0"


def main(arguments: Sequence[str]) -> int:
    """0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.api.live.contract", description=__doc__)
    parser.add_argument("-n", "--cases", type=int, default=CASES, help="for each operation and phase")
    asked, more = parser.parse_known_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="lucid-contract-") as folder,
        live_api(Path(folder) / "home", LUCID_TARGET_ALLOW=ANY, LUCID_WEBHOOK_ALLOW=ANY) as live,
    ):
        told = {"url": live.url, "password": live.password, "ids": live.ids}
        given = {"LUCID_LIVE": json.dumps(told), "SCHEMATHESIS_HOOKS": "tests.api.live.hooks"}
        command = [
            *(
                sys.executable,
                "-m",
                "schemathesis.cli",
                "--config-file",
                str(HERE / "schemathesis.toml"),
                "run",
            ),
            *(
                f"{live.url}/api/v1/schema/",
                "--checks",
                "all",
                "-n",
                str(asked.cases),
                "--continue-on-failure",
            ),
            *("--no-color", *more),
        ]
        environment = {**os.environ, **given, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
