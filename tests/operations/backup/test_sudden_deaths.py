"""A backup or a restore that is killed at any point is run again, and then all is as it should be."""

from pathlib import Path

from tests.operations.backup.site import CHILDREN, POPULATE, ROWS, Site

BACKUP_PLACES = (
    "bulk.placed",
    "bulk.batch",
    "backup.metadata",
    "backup.ledger",
    "keys.packed",
    "backup.keys",
    "backup.sealed",
    "backup.finished",
)
RESTORE_PLACES = (
    "restore.keys",
    "bulk.placed",
    "restore.blobs",
    "restore.ledger",
    "restore.loaded",
    "restore.database",
    "recovery.replayed",
    "recovery.buried",
    "restore.recovered",
)
SUCCESSION_PLACES = (
    "succession.planned",
    "succession.requested",
    "succession.retired",
    "succession.keys",
    "succession.pinned",
)
BEGIN = """
from pathlib import Path
from lucid_sessions.operations.backup import checking, making, restoring
from lucid_sessions.recordings.installation import installation
"""

NAMES = """
from lucid_sessions.recordings.models import Session
found = sorted(Session.objects.values_list("name", flat=True))
"""


def test_a_killed_backup_harms_no_earlier_one_and_is_made_again(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    found = site.facts(
        CHILDREN
        + BEGIN
        + f"""
def backup():
    assert not making.make(installation(), orders).problems
def check():
    assert not checking.check(orders.shelf).problems
found = []
for number, place in enumerate({BACKUP_PLACES!r}):
    # Each on its own shelf: the first backup is the one that has everything to do.
    orders = making.Orders(Path({str(shelf)!r}) / str(number), link=False)
    died = child(backup, place)
    before = len(list(orders.shelf.glob("snapshots/*")))
    found.append([place, died, before, child(backup), child(check)])
"""
    )
    killed = {place: (died, snapshots) for place, died, snapshots, *_ in found}
    assert killed == {
        **dict.fromkeys(BACKUP_PLACES, (-9, 0)),
        "backup.finished": (-9, 1),
    }
    assert [(again, checked) for *_, again, checked in found] == [(0, 0)] * len(BACKUP_PLACES)
    # Keys that no age limit would reach are nowhere.
    for keys in shelf.glob("*/keys"):
        assert {path.name.partition(".")[0] for path in keys.iterdir()} == {
            path.stem for path in keys.glob("*.json")
        }


def test_a_killed_restore_is_run_again(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    rows = site.facts(ROWS)
    site.manage("backup", shelf, "--copy")
    found = site.facts(
        CHILDREN
        + BEGIN
        + ROWS
        + f"""
import shutil
from tests.operations.backup.site import Site
from lucid_sessions.recordings import verification
before, result = found, []
site = Site(Path({str(site.home)!r}))
wish = restoring.Wish(Path({str(shelf)!r}), log="adopt")
def restore():
    assert not restoring.restore(installation(), wish).problems
def same():
    now = [line for line in rows.lines() if b'"pk": "backup"' not in line]
    assert sorted(line.decode() for line in now) == before
    assert verification.verify_log().integrity
    assert not (site.home / "keys" / "restoring.json").exists()
for place in {RESTORE_PLACES!r}:
    connections.close_all()
    site.lose()
    result.append([place, child(restore, place), child(restore), child(same)])
found = result
"""
    )
    assert found == [[place, -9, 0, 0] for place in RESTORE_PLACES]
    assert site.facts(ROWS) == rows


def test_a_killed_succession_is_finished_and_signs_one_history_only(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf)
    site.lose()
    site.manage("restore", shelf)
    found = site.facts(
        CHILDREN
        + BEGIN
        + f"""
import shutil
from lucid_sessions.operations.backup import succession
from lucid_sessions.recordings import sealing, verification
from lucid_sessions.recordings.models import LedgerRecord
home = Path({str(site.home)!r})
def succeed():
    succession.succeed(installation(), "test.invalid/the-second")
def seal():
    sealing.seal(installation())
    assert verification.verify_log().integrity
    kept = installation().log()
    assert kept.origin == "test.invalid/the-second" and kept.size == 6, kept.size
    assert b'"origin":"test.invalid/backed-up"' in kept.record(5) and b'"size":5' in kept.record(5)
found = []
for place in {SUCCESSION_PLACES!r}:
    twin = home.with_name("kept")
    connections.close_all()
    shutil.copytree(home, twin)
    found.append([place, child(succeed, place), child(succeed), child(seal)])
    shutil.rmtree(home)
    twin.rename(home)
"""
    )
    assert found == [[place, -9, 0, 0] for place in SUCCESSION_PLACES]


def test_what_was_done_after_a_restore_that_died_late_is_not_replaced(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf)
    site.manage("backup", shelf)
    site.lose()
    site.python(
        CHILDREN
        + BEGIN
        + f"""
wish = restoring.Wish(Path({str(shelf)!r}), log="adopt")
assert child(lambda: restoring.restore(installation(), wish), "restore.recovered") == -9"""
    )
    site.python(POPULATE + "record('since', sealed=False)")
    older = min((shelf / "snapshots").iterdir()).name
    assert "not empty: --over" in site.manage("restore", shelf, "--snapshot", older, expect=2).err
    said = site.manage("restore", shelf, "--log", "adopt", "--verify")
    assert "it stays as it is" in said.out
    assert site.facts(NAMES) == ["first", "second", "since"]
    assert not (site.home / "keys" / "restoring.json").exists()
