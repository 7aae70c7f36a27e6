"""Whatever the OpenAPI document allows works on the live API, and whatever it does not allow is refused.

schemathesis with all its checks; a few cases here, 500 an operation by `make contract`.
"""

import subprocess
import sys

import pytest

from tests.operations.processes import ROOT


@pytest.mark.timeout(300)
def test_the_live_api_is_what_its_document_says() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.api.live.contract",
        "-n",
        "3",
        "--seed",
        "20260131",
        "--no-shrink",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "No issues found" in done.stdout, done.stdout[-2000:]
