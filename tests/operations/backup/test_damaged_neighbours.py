"""A snapshot that is damaged costs itself, and none of the others that stand beside it."""

from pathlib import Path

from tests.operations.backup.site import POPULATE, Site

BACKUPS = """
from pathlib import Path
from lucid_sessions.operations.backup import making
from lucid_sessions.operations.backup.retaining import Policy
orders = making.Orders(Path({shelf!r}), link=False, policy=Policy(days=0, least={least}))
found = []
for _ in range({count}):
    found.append(making.make(installation(), orders).problems)
"""


def test_a_damaged_manifest_costs_its_own_snapshot_only(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    assert site.facts(POPULATE + BACKUPS.format(shelf=str(shelf), count=3, least=3)) == [[], [], []]
    older, middle, newest = sorted((shelf / "snapshots").iterdir())
    _damage(older / "manifest.json")
    said = site.manage("backup", shelf, "--check", expect=1)
    assert "NOT WHOLE" in said.out
    assert older.name in said.err
    site.lose()
    said = site.manage("restore", shelf, "--log", "adopt", expect=1)
    assert f"{older.name}/manifest.json" in said.err
    assert "6 blobs (6 written" in said.out
    site.manage("verify", "--all")
    _damage(newest / "manifest.json")
    site.manage("restore", shelf, "--over", "--snapshot", middle.name, expect=1)
    # No list of theirs says any more which blobs they need: all stay.
    before = _blobs(shelf)
    (shelf / "blobs" / "ab" / "cd").mkdir(parents=True, exist_ok=True)
    (shelf / "blobs" / "ab" / "cd" / ("abcd" + 60 * "0")).write_bytes(b"of the damaged one, perhaps")
    assert site.facts(POPULATE + BACKUPS.format(shelf=str(shelf), count=1, least=2)) == [[]]
    assert len(_blobs(shelf)) == len(before) + 1
    assert site.facts(POPULATE + BACKUPS.format(shelf=str(shelf), count=1, least=1)) == [[]]
    assert _blobs(shelf) == before


def test_an_earlier_snapshot_brings_what_the_backup_holds_of_the_time_since(
    site: Site, tmp_path: Path
) -> None:
    shelf = tmp_path / "backups"
    backup = BACKUPS.format(shelf=str(shelf), count=1, least=3)
    assert site.facts(POPULATE + backup + "record('third')\n" + backup) == [[]]
    older, newest = sorted((shelf / "snapshots").iterdir())
    for path in (newest / "metadata").rglob("*"):
        if path.is_file():
            _damage(path)
    site.lose()
    site.manage("restore", shelf, expect=1)
    said = site.manage(
        *("restore", shelf, "--snapshot", older.name, "--log", "adopt", "--spool-lost", "all", "--verify")
    )
    assert "9 blobs (9 written" in said.out
    assert "3 chunks, 1 sessions" in said.out
    assert said.out.count("intact, complete") == 4


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _blobs(shelf: Path) -> set[str]:
    return {path.name for path in (shelf / "blobs").rglob("*") if len(path.name) == 64}
