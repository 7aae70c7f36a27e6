"""The same models, migrations and code on a real MongoDB: the tests of the domain and the journey, run there.

They run in a pytest of their own, since a process has one database; its closing line must say that they ran.
"""

import re
import subprocess
import sys

import pytest

from tests.servers import mongod_program

SUITES = {
    # Every order of retention's commit points is tried on SQLite; here it would take minutes.
    "the domain": ["tests/recordings", "--ignore=tests/recordings/test_retention_interleaved.py"],
    # Together, since each pytest with its server and its migrations costs ten seconds of a processor.
    "the journey, the chain and the API": [
        "tests/journey",
        "tests/tasks",
        "tests/api/test_audit.py",
        "tests/api/test_creates_and_kills.py",
        "tests/api/test_cursors.py",
        "tests/api/test_group_commit.py",
        "tests/api/test_long_lists.py",
        "tests/api/test_together_on_mongodb.py",
        "tests/operations/test_health_live.py",
    ],
    # That a set of one dies or steps down, tests/faults tries in a process of its own.
    "a primary that another replaces": ["tests/faults/check_failover.py"],
}
SETS = {"a primary that another replaces": "mongod-set"}


@pytest.mark.timeout(1800)  # for a whole pytest, whose tests have bounds of their own
# Long ones, which need nothing of each other: begun early, wherever a test process is free.
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in SUITES])
def test_what_holds_on_sqlite_holds_on_mongodb(name: str) -> None:
    mongod_program()
    pytest_here = [sys.executable, "-m", "pytest", "-q", *SUITES[name]]
    argv = [sys.executable, "-m", "tests.servers", SETS.get(name, "mongod"), "--", *pytest_here]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    closing = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"=* ?[1-9]\d* passed.* in .*", closing), closing
    assert "skipped" not in closing
