"""Whatever the OpenAPI document allows works on the live API, and whatever it does not allow is refused.

schemathesis with all its checks. Here what the document's examples and the edges of its schemas give; `make
contract` adds random and linked requests, 500 an operation.
"""

import re
import subprocess
import sys

import pytest

from tests.operations.processes import ROOT
from tests.waiting import PATIENCE


# More than a thousand requests: beside other tests they take minutes.
@pytest.mark.timeout(6 * PATIENCE)
def test_the_live_api_is_what_its_document_says() -> None:
    # All operations in one run: each run reads the document anew.
    cases = ["-n", "1", "--at-once", "1000", "--phases", "examples,coverage"]
    cases += ["--seed", "20260131", "--no-shrink"]
    command = [sys.executable, "-m", "tests.api.live.contract", *cases]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    # Something was asked indeed, and all of it was as it should be.
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found is not None, done.stdout[-2000:]
    assert int(found[1]) == int(found[2]) > 1000
