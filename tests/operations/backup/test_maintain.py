"""Upkeep finds what is wrong, reports what lies about, and removes only what nobody can want."""

import os
import time
from pathlib import Path

from tests.operations.backup.site import POPULATE, Site


def test_a_sound_installation_is_found_sound(site: Site) -> None:
    said = site.manage("maintain")
    assert "6 blobs in the store, 6 named by rows" in said.out
    assert said.err == ""


def test_what_is_lost_or_strange_is_named_and_stays(site: Site, tmp_path: Path) -> None:
    lost = sorted(path for path in (site.home / "blobs").rglob("*") if len(path.name) == 64)[0]
    strange = site.home / "blobs" / "ab" / "cd" / ("abcd" + "0" * 60)
    strange.parent.mkdir(parents=True, exist_ok=True)
    lost.rename(strange)
    old = site.home / "blobs" / ".0123456789abcdef.lucid-tmp"
    young = site.home / "blobs" / ".fedcba9876543210.lucid-tmp"
    for path in (old, young):
        path.write_bytes(b"half a blob")
    two_days_ago = time.time() - 2 * 86400
    os.utime(old, (two_days_ago, two_days_ago))
    site.python(
        """
from django.db import connection
if connection.vendor == "sqlite":
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys=OFF")
        cursor.execute("delete from recordings_session where name = 'second'")
else:
    connection.get_collection("recordings_session").delete_one({"name": "second"})
"""
    )
    said = site.manage("maintain", expect=1)
    assert f"blob {lost.name} is missing" in said.err
    assert "chunks of session" in said.err
    assert "1 blobs have no row" in said.out
    assert strange.exists()
    assert (old.exists(), young.exists()) == (False, True)


def test_it_is_safe_while_recordings_go_on(site: Site) -> None:
    site.python(
        POPULATE
        + """
import os
from django.db import connections
from lucid_sessions.operations import upkeep
connections.close_all()
looked, told = os.pipe()
writer = os.fork()
if not writer:
    code = 1
    try:
        for number in range(3):
            record(f"meanwhile {number}")
            # It goes on when its parent has looked, at least once for each.
            os.read(looked, 1)
        code = 0
    finally:
        os._exit(code)
rounds = 0
while (ended := os.waitpid(writer, os.WNOHANG)) == (0, 0):
    assert not upkeep.maintain(installation()).wrong
    rounds += 1
    os.write(told, b".")
assert rounds >= 3 and not ended[1], (rounds, ended)"""
    )
    assert "15 blobs in the store, 15 named by rows" in site.manage("maintain").out
    assert site.manage("verify", "--all").out.count("intact, complete") == 6
