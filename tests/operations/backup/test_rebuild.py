"""A database made anew from the log, the blobs, the keys and the spool, when there is no backup of it."""

from pathlib import Path

from tests.operations.backup.site import CHILDREN, POPULATE, Site

SHAPE = """
from lucid_sessions.recordings.models import Session, Chunk
found = [
    [str(s.pk), s.status, s.sealed_revision, [
        [c.track, c.sequence, c.epoch, c.start_us, c.end_us, c.frames, c.init_length, c.state, c.blob,
         c.raw_sha256, c.raw_length, c.codec, c.packed_length, c.record, c.leaf]
        for c in s.chunks.order_by("sequence")]]
    for s in Session.objects.order_by("pk")
]
"""
UNSEALED = (
    POPULATE
    + """
from tests import factories
stored = record("stored but in no record", sealed=False)
spooled = factories.recorded_session(installation(), segments=2, name="only in the spool")
"""
)


def test_the_rows_are_what_they_were(site: Site) -> None:
    before = site.facts(SHAPE)
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    assert "Rebuilt 2 sessions and 6 chunks (6 opened)" in site.manage("rebuild").out
    assert site.facts(SHAPE) == before
    assert site.manage("verify", "--all", "--deep").out.count("intact, complete") == 3
    assert "holds sessions" in site.manage("rebuild", expect=2).err


def test_what_was_under_way_goes_on(site: Site) -> None:
    site.python(UNSEALED)
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    said = site.manage("rebuild")
    assert "4 sessions and 9 chunks" in said.out
    assert "2 segments came from the spool" in said.out
    site.manage("reconcile")
    assert site.manage("verify", "--all", "--deep").out.count("intact, complete") == 5


def test_a_killed_rebuild_is_finished_by_the_next(site: Site) -> None:
    before = site.facts(SHAPE)
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    found = site.facts(
        CHILDREN
        + SHAPE.replace("found =", "shape = lambda:")
        + f"""
from pathlib import Path
from django.core.management import call_command
home = Path({str(site.home)!r})
from lucid_sessions.recordings.failpoints import arm
def rebuild():
    try:
        call_command("rebuild", "--again")
    except SystemExit as ended:
        assert not ended.code, ended.code
found = []
for place in ("recovery.filed", "recovery.spooled"):
    found.append([child(rebuild, place), child(rebuild)])
    found[-1].append(shape() == {before!r})
    connections.close_all()
    for name in ("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm"):
        (home / name).unlink(missing_ok=True)
"""
    )
    assert found == [[-9, 0, True]] * 2


def test_without_the_password_times_are_rough_and_all_the_rest_is_there(site: Site) -> None:
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    for secret in ("encryption_password", "encryption_salt"):
        path = site.home / "keys" / "secrets" / secret
        path.rename(path.with_suffix(".away"))
    assert "ENCRYPTION_PASSWORD" in site.manage("rebuild", expect=2).err
    assert "(0 opened)" in site.manage("rebuild", "--without-password").out
    assert site.manage("verify", "--all").out.count("intact, complete") == 3


def test_a_blob_that_is_gone_is_named(site: Site, tmp_path: Path) -> None:
    lost = sorted(path for path in (site.home / "blobs").rglob("*") if len(path.name) == 64)[0]
    lost.rename(tmp_path / "kept")
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    said = site.manage("rebuild", expect=1)
    assert lost.name in said.err
    assert "2 sessions and 5 chunks" in said.out
