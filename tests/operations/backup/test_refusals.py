"""What cannot be backed up, or must not be restored: one clear line, and everything is as it was."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lucid_sessions.blobs import Where
from tests.buckets import address_of
from tests.operations.backup.site import CHILDREN, CREDENTIALS, POPULATE, Site

WRITTEN = ("restoring.json", "repository.json", "lucid-blobs", "checkpoint")


def test_a_backup_refuses_places_that_cannot_serve(site: Site, tmp_path: Path) -> None:
    foreign, strange = tmp_path / "foreign", tmp_path / "strange"
    strange.mkdir()
    (strange / "letters.txt").write_text("mine")
    foreign.mkdir()
    other = {"format": "lucid/1 backups", "version": 1, "repository": "ab" * 16, "key": "cd" * 32}
    (foreign / "lucid-backups.json").write_text(json.dumps(other))
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "lucid-backups.json").write_text(json.dumps({**other, "version": 2}))
    for place, word in (
        (site.home / "blobs" / "inside", "one in the other"),
        (site.home, "one in the other"),
        (strange, "holds other files"),
        (foreign, "another installation"),
        (newer, "format 2"),
    ):
        said = site.manage("backup", place, expect=2)
        assert word in said.err
        assert said.err.count("\n") == 1
    letter = strange / "letters.txt"
    for arguments, word in (
        ([letter], "is a file"),
        ([letter / "inside"], "is a file"),
        ([tmp_path / "backups", "--keys", letter], "is a file"),
        ([letter, "--check"], "holds no backups"),
        ([tmp_path / "backups", "--keys-days", "99999999999"], "more than 99999 days"),
        ([tmp_path / "backups", "--keep-days", "99999999"], "more than 99999 days"),
    ):
        said = site.manage("backup", *arguments, expect=2)
        assert word in said.err
        assert said.err.count("\n") == 1
    assert not (tmp_path / "backups").exists()
    for place, word in ((strange, "holds no backups"), (newer, "format 2")):
        said = site.manage("restore", place, "--over", expect=2)
        assert word in said.err
        assert said.err.count("\n") == 1
    assert "LUCID_BACKUP_URL" in site.manage("backup", expect=2).err
    assert [path.name for path in strange.iterdir()] == ["letters.txt"]
    assert not (site.home / "blobs" / "inside").exists()


def test_a_store_that_is_not_mounted_is_no_empty_backup(site: Site, tmp_path: Path) -> None:
    (site.home / "blobs" / "lucid-blobs").unlink()
    said = site.manage("backup", tmp_path / "backups", expect=3)
    assert "mount that disk" in said.err
    assert not (tmp_path / "backups").exists()


def test_a_disk_of_backups_or_a_vault_that_is_not_mounted_is_not_begun_anew(
    site: Site, tmp_path: Path
) -> None:
    """All of the archive, or the keys, came to lie on the disk of the mount point, and counted as good."""
    shelf, vault, disk = tmp_path / "backups", tmp_path / "vault", tmp_path / "disk"
    order = ("backup", shelf, "--keys", vault)
    site.manage(*order)
    for place in (shelf, vault):
        place.rename(disk)
        for mount_point in (False, True):
            if mount_point:
                place.mkdir()
            assert f"{place} is empty, though snapshot " in site.manage(*order, expect=3).err
        assert list(place.iterdir()) == []
        place.rmdir()
        disk.rename(place)
    site.manage(*order)
    shutil.rmtree(shelf)
    # A new disk is not empty, in its way.
    (shelf / "lost+found").mkdir(parents=True)
    site.manage(*order)
    shutil.rmtree(shelf)
    site.manage(*order, "--anew")


def test_a_lost_or_rotten_blob_is_named_and_the_rest_is_kept(site: Site, tmp_path: Path) -> None:
    lost, rotten = sorted(path for path in (site.home / "blobs").rglob("*") if len(path.name) == 64)[:2]
    lost.unlink()
    rotten.write_bytes(b"rot")
    said = site.manage("backup", tmp_path / "backups", expect=1)
    assert said.err.count(lost.name) == said.err.count(rotten.name) == 1
    assert "4 blobs (4 new" in said.out


def test_a_full_disk_leaves_the_earlier_backup_and_says_so(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf, "--copy")
    site.python(POPULATE + "record('third')")
    # A limit on file sizes fails writes half-way, as a full disk does.
    said = site.python(
        f"""
import resource, signal
from django.conf import settings
# SQLite must still be able to write its own; the documents of MongoDB's backup are small.
limit = 2_000 if settings.MONGO else 100_000
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from django.core.management import call_command
call_command("backup", {str(shelf)!r}, "--copy")""",
        expect=3,
    )
    assert "Could not write" in said.err
    assert said.err.count("\n") == 1
    assert len(list((shelf / "snapshots").iterdir())) == 1
    site.manage("backup", shelf, "--check")
    site.manage("backup", shelf, "--copy")
    site.manage("backup", shelf, "--check")


@pytest.mark.parametrize(
    ("damage", "code", "word"),
    [
        ("manifest.json", 1, "not what backup key"),
        ("metadata/rows.jsonl.zst", 1, "not what was signed"),
        ("blobs.txt", 1, "not what was signed"),
        ("manifest.sig", 1, "not whole"),
        ("ledger", 1, "restore"),
        ("keys", 1, "not what was signed"),
        ("no ledger", 1, "not whole"),
        ("no blobs", 1, "not whole"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_written(
    shelved: tuple[Site, Path], tmp_path: Path, damage: str, code: int, word: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shelved[1], copy)
    snapshot = next((copy / "snapshots").iterdir())
    if damage == "manifest.sig":
        (snapshot / damage).unlink()
    elif damage.startswith("no "):
        shutil.rmtree(copy / damage.removeprefix("no "))
    elif damage == "ledger":
        for path in (copy / "ledger").glob("*/body/*/*"):
            path.write_bytes(b"{}")
    else:
        path = next((copy / "keys").glob("*.zst")) if damage == "keys" else snapshot / damage
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    empty = Site(tmp_path / "empty")
    said = empty.manage("restore", copy, expect=code)
    assert word in said.err
    assert said.err.count("\n") == 1
    assert not [path for path in empty.home.rglob("*") if path.is_file() and path.name != "stack.lock"]


def test_a_rotten_blob_costs_only_itself(shelved: tuple[Site, Path], tmp_path: Path) -> None:
    site, shelf = shelved
    copy = tmp_path / "copy"
    shutil.copytree(shelf, copy)
    rotten = sorted(path for path in (copy / "blobs").rglob("*") if len(path.name) == 64)[0]
    rotten.write_bytes(b"rot")
    home = Site(tmp_path / "home")
    said = home.manage("restore", copy, expect=1)
    assert rotten.name in said.err
    assert "5 blobs (5 written" in said.out
    assert (
        "There is no snapshot nope"
        in site.manage("backup", copy, "--check", "--snapshot", "nope", expect=2).err
    )
    # The check puts it aside, so that the next backup brings it again.
    assert rotten.name in site.manage("backup", copy, "--check", expect=1).err
    assert "(1 new" in site.manage("backup", copy).out
    site.manage("backup", copy, "--check")
    home.remove_database()


def _unreadable(blobs: Path) -> list[str]:
    """The names of two blobs there that the disk does not give from now on."""
    bad, folder = sorted(path for path in blobs.rglob("*") if len(path.name) == 64)[:2]
    for path in (bad, folder):
        path.unlink()
    bad.symlink_to("/proc/self/mem")  # EIO at its beginning
    folder.mkdir()
    return [bad.name, folder.name]


@pytest.mark.parametrize("way", [[], ["--copy"]])
def test_what_the_stores_disk_does_not_give_is_named_and_the_rest_is_kept(
    site: Site, tmp_path: Path, way: list[str]
) -> None:
    names = _unreadable(site.home / "blobs")
    said = site.manage("backup", tmp_path / "backups", *way, expect=1)
    assert [said.err.count(name) >= 1 for name in names] == [True, True]
    assert "cannot be read" in said.err
    assert "4 blobs (4 new" in said.out
    site.manage("backup", tmp_path / "backups", "--check")


def test_what_the_backups_disk_does_not_give_costs_only_itself(
    shelved: tuple[Site, Path], tmp_path: Path
) -> None:
    site, shelf = shelved
    copy = tmp_path / "copy"
    shutil.copytree(shelf, copy)
    names = _unreadable(copy / "blobs")
    home = Site(tmp_path / "home")
    said = home.manage("restore", copy, expect=1)
    assert [name in said.err for name in names] == [True, True]
    assert "4 blobs (4 written" in said.out
    said = site.manage("backup", copy, "--check", expect=1)
    assert [name in said.err for name in names] == [True, True]
    assert "(2 new" in site.manage("backup", copy).out
    site.manage("backup", copy, "--check")
    home.remove_database()


def test_a_rotten_part_of_the_log_is_put_aside_and_copied_anew(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf)
    rotten, lost = sorted(shelf.glob("ledger/*/body/*/*"))[:2]
    right = rotten.read_bytes()
    rotten.write_bytes(b"rot")
    lost.unlink()
    said = site.manage("backup", shelf, "--check", expect=1)
    assert said.err.count(rotten.name) == said.err.count(lost.name) == 1
    assert (shelf / "damaged" / rotten.name).read_bytes() == b"rot"
    site.manage("backup", shelf)
    assert rotten.read_bytes() == right
    assert "whole" in site.manage("backup", shelf, "--check").out


def test_a_foreign_backup_does_not_come_over_ours(
    shelved: tuple[Site, Path], tmp_path: Path, bucket: Where
) -> None:
    site, other = replace(shelved[0], extra=CREDENTIALS), Site(tmp_path / "other", CREDENTIALS)
    other.manage("prepare")
    before = other.files()
    site.manage("backup", address_of(bucket))
    for place in (shelved[1], address_of(bucket)):
        said = other.manage("restore", place, "--over", expect=2)
        assert "another installation" in said.err
        assert said.err.count("\n") == 1
    assert other.files() == before
    other.remove_database()


def test_a_log_that_nobody_can_name_so_is_refused_before_anything_is_written(
    shelved: tuple[Site, Path], tmp_path: Path
) -> None:
    empty = Site(tmp_path / "empty")
    for origin in ("bad origin", "test.invalid/backed-up"):
        said = empty.manage("restore", shelved[1], "--log", "continue", "--origin", origin, expect=2)
        assert "origin" in said.err
        assert said.err.count("\n") == 1
        assert not [path for path in empty.home.rglob("*") if path.is_file() and path.name in WRITTEN]


def test_a_snapshot_of_a_newer_format_is_left_to_a_newer_program(
    shelved: tuple[Site, Path], tmp_path: Path
) -> None:
    copy, empty = tmp_path / "copy", Site(tmp_path / "empty")
    shutil.copytree(shelved[1], copy)
    (manifest,) = copy.glob("snapshots/*/manifest.json")
    shelved[0].python(
        f"""
from pathlib import Path
from lucid_sessions.operations.backup import signing
path, root = Path({str(manifest)!r}), Path({str(shelved[0].home / "keys")!r})
key = signing.backup_key(root)
content = signing.read_signed(path, public=key.public.hex())
signing.write_signed(path, content | {{"version": 2}}, key=key)"""
    )
    said = empty.manage("restore", copy, expect=2)
    assert "of format 2: use a newer program" in said.err
    assert said.err.count("\n") == 1


def test_nobody_signs_a_second_history(site: Site, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    site.manage("backup", shelf)
    pin = site.home / "keys" / "private" / "log.pin"
    old = pin.read_bytes()
    site.python(POPULATE + "record('lost with the disk')")
    kept = pin.read_bytes()
    assert kept != old
    site.lose()
    pin.parent.mkdir(parents=True)
    pin.write_bytes(kept)
    assert "7 records were signed, 5 are here" in site.manage("restore", shelf).out
    refused = site.manage("restore", shelf, "--over", "--log", "adopt", expect=2)
    assert "second history" in refused.err
    said = site.python(POPULATE + "record('after')", expect=1)
    assert "Not signed, because it would be a second history" in said.err
    site.manage("restore", shelf, "--over", "--log", "continue", "--origin", "test.invalid/next")
    site.python(POPULATE + "sealing.seal(installation()); record('after that')")
    site.manage("verify", "--all", "--deep")
    # The restore that was refused had its database in place: the next one put that aside, and removed none.
    assert len(list(site.home.glob("lucid.sqlite3.before-*"))) == (0 if "MONGODB_URL" in os.environ else 2)
    assert "test.invalid/next" in site.manage("ledger", "checkpoint").out


def test_two_backups_do_not_mix(site: Site, tmp_path: Path) -> None:
    said = site.facts(
        CHILDREN
        + f"""
from pathlib import Path
from lucid_sessions.operations.backup.shelf import Shelf, Owner
shelf = Shelf.claim(Path({str(tmp_path / "backups")!r}), Owner("ab", "cd"))
from lucid_sessions.errors import Retryable
def second():
    try:
        with shelf.alone():
            pass
    except Retryable:
        os._exit(7)
with shelf.alone():
    found = child(second)"""
    )
    assert said == 7


@pytest.fixture(scope="module")
def shelved(original: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Path]:
    """An installation with its backup; tests damage copies of it."""
    folder = tmp_path_factory.mktemp("shelved")
    site = original.twin(folder / "home")
    site.manage("backup", folder / "backups", "--copy")
    return site, folder / "backups"
