"""A backup is of one point in time, though others go on writing."""

from pathlib import Path

from tests.operations.backup.site import CHILDREN, ROWS, Site


def test_one_point_is_what_rows_and_files_both_show(site: Site, tmp_path: Path) -> None:
    found = site.facts(
        CHILDREN
        + ROWS
        + f"""
from pathlib import Path
from lucid_sessions.operations.backup import engines
from lucid_sessions.operations.backup.point import one_point
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings import ledger_rows
folder = Path({str(tmp_path / "dump")!r})
folder.mkdir()
before, wrote = found, []
import subprocess, sys
WRITE = "import django; django.setup()\\nfrom lucid_sessions.recordings import ledger_rows\\n"
WRITE += "ledger_rows.request('audit', key='audit:one', facts={{}})"
with one_point():
    one = sorted(line.decode() for line in rows.lines())
    subprocess.run([sys.executable, "-c", WRITE], check=True)
    engines.dump(folder)
    other = sorted(line.decode() for line in rows.lines())
after = sorted(line.decode() for line in rows.lines())
engines.load(folder, aside="before-test")
loaded = sorted(line.decode() for line in rows.lines())
found = [before == one == other == loaded, len(after) - len(before)]
"""
    )
    assert found == [True, 1]
