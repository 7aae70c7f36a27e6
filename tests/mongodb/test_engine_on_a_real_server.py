"""Runs the checks in project/ on a real mongod, in a process of their own with a site of their own.

Django can be configured once in a process, and this one is configured for the application.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.servers import mongod

PROJECT = Path(__file__).parent / "project"
REPOSITORY = PROJECT.parents[2]


def test_the_engine_does_what_our_queries_need() -> None:
    command = [sys.executable, "-m", "pytest", "-c", str(PROJECT / "pytest.ini"), str(PROJECT)]
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "DJANGO_"))}
    with mongod() as url:
        checks = subprocess.run(
            [*command, "--rootdir", str(REPOSITORY), "-q", "--tb=short"],
            cwd=REPOSITORY,
            env={**outside, "MONGODB_URL": url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    print(checks.stdout)
    assert checks.returncode == 0, checks.stdout
