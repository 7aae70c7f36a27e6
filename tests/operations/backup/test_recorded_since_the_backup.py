"""A session that was made and recorded since the backup, and had come no further than the spool."""

from pathlib import Path

from tests.operations.backup.site import POPULATE, Site

SINCE = (
    POPULATE
    + """
from tests import factories
from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.installation import installation
spooled = factories.recorded_session(installation(), segments=2, name="since")
"""
)
SEALED = """
from lucid_sessions.recordings.models import Session
session = Session.objects.get(pk="{}")
found = [session.name, session.status, session.chunks.count(), session.takes.count(), bool(session.ended_at)]
"""


def test_it_comes_back_from_the_spool_and_is_archived(site: Site, tmp_path: Path) -> None:
    site.manage("backup", tmp_path / "backups")
    since = site.facts(SINCE + "found = str(spooled.pk)")
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    said = site.manage("restore", tmp_path / "backups", "--over")
    assert "0 records, 0 chunks, 1 sessions" in said.out
    site.manage("reconcile")
    found = site.facts(SEALED.format(since))
    assert found == [f"recovered {since[:8]}", "completed", 2, 1, True]
    assert "intact, complete" in site.manage("verify", since, "--deep").out
