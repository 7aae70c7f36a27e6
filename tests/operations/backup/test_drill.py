"""The drill that operators run, small: what was lost comes back bit-exact, and what was shredded does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.operations.backup.site import ROOT
from tests.waiting import PATIENCE


def test_the_drill_brings_everything_back_but_what_was_shredded(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "drill", "--home", str(tmp_path / "drill"), "--json"]
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "LUCID_"))}
    done = subprocess.run(
        [*command, "--sessions", "2", "--seconds", "2"],
        cwd=ROOT,
        env=outside,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["passed"], found["exact"], found["sessions"]) == (True, 2, 2)
    assert (found["readable_shredded"], found["lost_late"]) == (0, 1)


def test_a_drill_removes_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    command = [sys.executable, "manage.py", "drill", "--home", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "no drill made" in done.stderr
    assert (tmp_path / "letters.txt").read_text() == "mine"
