"""The drill that operators run, small: what was lost comes back bit-exact, and what was shredded does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.operations.backup.site import ROOT, Site
from tests.waiting import PATIENCE

LETTER = "0f3c7a52-5f0d-4a0e-9d7e-6f1a3b2c4d5e.sealed"


def of_others(there: Path) -> dict[str, str]:
    """What tells a process that it belongs to an installation whose parts lie in `there`."""
    for name in ("store", "also", "cold", "spool", "targets", "results", "backups"):
        (there / name).mkdir(parents=True)
    # The password of a desktop that is to be recorded, by a session that the drill does not know.
    (there / "targets" / LETTER).write_text("sealed")
    os.utime(there / "targets" / LETTER, (0, 0))
    for name in ("store", "also", "cold"):
        (there / name / "lucid-blobs").write_text("")
    return {
        "STORAGE_URL": f"file://{there}/store",
        "LUCID_STORAGE_ALSO": f"file://{there}/also",
        "LUCID_STORAGE_TIER_URL": f"file://{there}/cold",
        "SESSION_STORAGE_PATH": f"{there}/spool",
        "LUCID_TARGETS_PATH": f"{there}/targets",
        "LUCID_RESULTS_PATH": f"{there}/results",
        "LUCID_BACKUP_URL": f"{there}/backups",
    }


def files(there: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in there.rglob("*") if path.is_file()}


def test_the_drill_brings_everything_back_but_what_was_shredded(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "drill", "--home", str(tmp_path / "drill"), "--json"]
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "LUCID_"))}
    outside |= of_others(tmp_path / "others")
    theirs = files(tmp_path / "others")
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
    # Nothing of the installation whose environment it had was touched, or has become more.
    assert files(tmp_path / "others") == theirs


def test_a_drill_removes_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    command = [sys.executable, "manage.py", "drill", "--home", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "no drill made" in done.stderr
    assert (tmp_path / "letters.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORAGE_URL", "file://{}"),
        ("STORAGE_URL", "s3://bucket/archive?endpoint=http://127.0.0.1:9"),
        ("LUCID_STORAGE_ALSO", "file://{}"),
        ("LUCID_STORAGE_TIER_URL", "file://{}"),
        ("SESSION_STORAGE_PATH", "{}"),
        ("LUCID_LEDGER_PATH", "{}"),
        ("LUCID_TARGETS_PATH", "{}"),
        ("DATABASE_URL", "sqlite:///{}/lucid.sqlite3"),
    ],
)
def test_what_lies_elsewhere_is_not_destroyed(tmp_path: Path, name: str, value: str) -> None:
    address = value.format(tmp_path / "elsewhere")
    one = Site(tmp_path / "home", (("MONGODB_URL", ""), (name, address)))
    for part in ("blobs", "keys"):
        (one.home / part).mkdir(parents=True)
        (one.home / part / "letter").write_text("mine")
    said = one.python("from lucid_sessions.operations import drill; drill.destroy()", expect=1)
    assert f"Nothing was destroyed: outside {one.home} lie " in said.err
    assert address.removeprefix("sqlite:///").removeprefix("file://") in said.err
    assert len(files(one.home)) == 2
