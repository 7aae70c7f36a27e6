"""What was backed up comes back: into nothing, and over damage; and what was shredded does not."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lucid_sessions.recordings import session_keys
from tests.operations.backup.site import POPULATE, ROWS, Site

SHRED = (
    POPULATE
    + """
from lucid_sessions.recordings import shredding
from lucid_sessions.recordings.models import Session
session = Session.objects.get(name="first")
shredding.begin(session, cause="test")
world = installation()
world.spool.identity
shredding.advance(session, world=world)
sealing.seal(world)
session.refresh_from_db()
assert session.status == "deleted", session.status
print(session.pk)
"""
)


def test_a_lost_installation_comes_back_whole(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    rows, blobs = site.facts(ROWS), _blobs(site)
    made = _json(site.manage("backup", shelf, "--copy", "--json").out)
    assert (made["blobs"], made["new_blobs"], made["problems"]) == (6, 6, [])
    assert "whole" in site.manage("backup", shelf, "--check").out
    site.lose()
    said = site.manage("restore", shelf, "--verify")
    assert said.out.count("intact, complete") == 3
    assert "Sealing waits (its pin is lost)" in said.out
    assert site.facts(ROWS) == rows
    assert _blobs(site) == blobs


def test_nothing_new_costs_nothing(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf)
    before = {path: path.stat().st_mtime_ns for path in (shelf / "blobs").rglob("*")}
    made = _json(site.manage("backup", shelf, "--json").out)
    assert (made["blobs"], made["new_blobs"], made["new_bytes"]) == (6, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in (shelf / "blobs").rglob("*")} == before


def test_a_backup_needs_no_password_and_keeps_keys_apart(site: Site, tmp_path: Path) -> None:
    shelf, keys = tmp_path / "backups", tmp_path / "keys-elsewhere"
    (site.home / "keys" / "secrets" / "encryption_password").unlink()
    (site.home / "keys" / "secrets" / "encryption_salt").unlink()
    site.manage("backup", shelf, "--keys", keys)
    born = [
        one for path in (site.home / "keys" / "sessions").rglob("*.keys") for one in session_keys.read(path)
    ]
    sealed = [key for one in born for key in one.sealed.values()]
    assert len(sealed) == 8  # two sessions, two tracks each, two recipients each
    kept = [path.read_bytes() for path in shelf.rglob("*") if path.is_file()]
    assert not [one for one in sealed if any(one in file or one.hex().encode() in file for file in kept)]
    assert sorted(path.suffix for path in keys.iterdir()) == [".json", ".sig", ".zst"]


def test_a_database_older_than_the_log_is_brought_up_to_it(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf)
    site.python(POPULATE + "record('third')")
    assert "Restored" in site.manage("restore", shelf, "--over", "--verify").out
    found = site.facts(
        """
from lucid_sessions.recordings.models import Session, Chunk
found = [
    [s.status, [[c.state, c.frames, c.start_us, c.end_us, c.epoch] for c in s.chunks.order_by("sequence")]]
    for s in Session.objects.filter(source="recovered://")
]"""
    )
    times = [["anchored", 10, n * 1_000_000, (n + 1) * 1_000_000, 1] for n in range(3)]
    assert found == [["completed", times]]
    # The log was whole and its pin was there: it goes on.
    site.python(POPULATE + "record('fourth')")
    site.manage("verify", "--all")


def test_shredded_stays_shredded(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf)
    first = _json(site.manage("backup", shelf, "--json").out)["snapshot"]
    shredded = site.python(SHRED).out.split()[-1]
    site.manage("backup", shelf)
    site.lose()
    said = site.manage("restore", shelf, "--snapshot", first, "--log", "adopt")
    assert "1 shredded sessions left out" in said.out
    assert not (site.home / "keys" / "sessions" / shredded).exists()
    assert len(_blobs(site)) == 3
    states = site.facts(
        """
from lucid_sessions.recordings.models import Chunk, Session
found = [
    [s.name, s.status, sorted({c.state for c in s.chunks.all()})]
    for s in Session.objects.order_by("name")
]"""
    )
    assert states == [["first", "deleted", ["expired"]], ["second", "completed", ["anchored"]]]
    site.manage("verify", "--all", "--deep")


def test_damage_is_repaired_and_the_old_database_is_kept(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    rows, blobs = site.facts(ROWS), _blobs(site)
    site.manage("backup", shelf, "--copy")
    one, other = sorted(path for path in (site.home / "blobs").rglob("*") if len(path.name) == 64)[:2]
    one.write_bytes(b"rot")
    other.unlink()
    for path in (site.home / "ledger" / "body").rglob("*"):
        if path.is_file():
            path.write_bytes(b"rot")
    site.remove_database()
    if (site.home / "lucid.sqlite3").exists():
        (site.home / "lucid.sqlite3").write_bytes(b"this is no database" * 1000)
    refused = site.manage("restore", shelf, expect=2)
    assert "not empty: --over" in refused.err
    site.manage("restore", shelf, "--over", "--verify")
    assert (site.facts(ROWS), _blobs(site)) == (rows, blobs)
    if (site.home / "lucid.sqlite3").exists():
        assert [path.read_bytes()[:7] for path in site.home.glob("lucid.sqlite3.before-*")] == [b"this is"]


def test_rows_move_to_a_fresh_installation_in_the_portable_form(site: Site, tmp_path: Path) -> None:
    found = site.facts(
        f"""
from pathlib import Path
from lucid_sessions.operations.backup import rows
from lucid_sessions.operations.backup.point import one_point
target = Path({str(tmp_path / "rows.jsonl.zst")!r})
with one_point():
    count = rows.dump(target)
from django.core.management import call_command
call_command("flush", interactive=False, verbosity=0)
loaded = rows.load(rows.read(target))
rows.load(rows.read(target))
found = [count, loaded, rows.differences(rows.read(target))]"""
    )
    assert found[0] == found[1] > 20
    assert found[2] == []


def _blobs(site: Site) -> dict[str, str]:
    paths = [path for path in (site.home / "blobs").rglob("*") if len(path.name) == 64]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _json(text: str) -> Any:
    return json.loads(text.splitlines()[-1])


def test_a_hold_that_was_placed_after_the_backup_holds_again(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf)
    site.python(
        POPULATE
        + """
from lucid_sessions.access.models import User
from lucid_sessions.recordings import holds
from lucid_sessions.recordings.models import Session
one, other = (User.objects.create_superuser(name) for name in ("one", "other"))
first, second = Session.objects.order_by("name")
holds.place(first, by=one, why="a court asks for it")
hold = holds.place(second, by=one, why="so does another")
holds.release(second, hold["id"], by=other, why="settled")
sealing.seal(installation())"""
    )
    site.manage("restore", shelf, "--over")
    found = site.facts(
        """
from lucid_sessions.recordings.models import Session
found = [[s.name, len(s.holds), len(s.active_holds)] for s in Session.objects.order_by("name")]"""
    )
    assert found == [["first", 1, 1], ["second", 1, 0]]
