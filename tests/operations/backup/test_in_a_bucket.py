"""Backups in a bucket keep the promises of those in a directory: whole or not at all, and read back."""

import json
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lucid_sessions.blobs import Where
from lucid_sessions.operations.backup.retaining import new_id
from tests.buckets import address_of, between, everything_in, new_bucket, owner
from tests.operations.backup.site import CHILDREN, CREDENTIALS, POPULATE, ROWS, Site

# Before the first of these nothing has reached the bucket, and directories are tried at every place.
PLACES = (
    "bulk.batch",
    "backup.sealed",
    "backup.pushed",
    "backup.uploaded",
    "backup.finished",
)
BEGIN = """
import time
from lucid_sessions.blobs import Bucket
from lucid_sessions.operations.backup import checking, making, restoring
from lucid_sessions.operations.backup.retaining import Policy
from lucid_sessions.operations.backup.shelves import place_of
from lucid_sessions.recordings.installation import installation
credentials = installation().credentials
"""


@pytest.fixture
def there(site: Site, bucket: Where) -> tuple[Site, Where]:
    """An installation with two sessions that may use buckets, and a bucket."""
    return replace(site, extra=CREDENTIALS), bucket


def _snapshots(bucket: Where) -> set[str]:
    """The snapshots there, each of them whole; there is no half one, and no lock of a dead process."""
    keys = everything_in(bucket)
    begun = {key.split("/")[2] for key in keys if key.startswith("archive/snapshots/")}
    assert {key.split("/")[2] for key in keys if key.endswith("/manifest.json")} == begun
    assert "archive/lock" not in keys
    return begun


def _json(text: str) -> Any:
    return json.loads(text.splitlines()[-1])


def test_a_lost_installation_comes_back_from_a_bucket(there: tuple[Site, Where]) -> None:
    site, bucket = there
    shelf, rows = address_of(bucket), site.facts(ROWS)
    made = _json(site.manage("backup", shelf, "--json").out)
    assert (made["blobs"], made["new_blobs"], made["problems"]) == (6, 6, [])
    assert _json(site.manage("backup", shelf, "--json").out)["new_blobs"] == 0
    assert "whole" in site.manage("backup", shelf, "--check").out
    site.lose()
    shutil.rmtree(site.home / "backup-work")
    said = site.manage("restore", shelf, "--verify")
    assert said.out.count("intact, complete") == 3
    assert site.facts(ROWS) == rows


def test_an_archive_in_a_bucket_is_backed_up_and_restored_too(
    there: tuple[Site, Where], s3_service: str, tmp_path: Path
) -> None:
    site, archive = there
    site = replace(
        site,
        extra=(
            *CREDENTIALS,
            ("STORAGE_URL", address_of(archive)),
            ("LUCID_STORAGE_ALSO", str(site.home / "blobs")),
        ),
    )
    site.manage("storage", "create", address_of(archive))
    assert "6 blobs are in s3://" in site.manage("storage", "migrate").out
    shelf = tmp_path / "backups"
    assert _json(site.manage("backup", shelf, "--json").out)["new_blobs"] == 6
    client = owner(archive)
    for key in everything_in(archive):
        client.delete_object(Bucket=archive.bucket, Key=key)
    site.lose()
    site = replace(site, extra=site.extra[:-1])
    assert site.manage("restore", shelf, "--verify").out.count("intact, complete") == 3
    assert len([key for key in everything_in(archive) if "/blobs/" in key]) == 6
    said = site.manage("backup", address_of(archive), expect=2)
    assert "one in the other" in said.err


def test_a_killed_backup_leaves_no_half_snapshot_and_is_made_again(
    there: tuple[Site, Where], s3_service: str
) -> None:
    site, _ = there
    places = {place: address_of(new_bucket(s3_service)) for place in PLACES}
    found = site.facts(
        CHILDREN
        + BEGIN
        + f"""
def backup():
    assert not making.make(installation(), orders).problems
def check():
    assert not checking.check(orders.shelf, credentials=credentials).problems
found = {{}}
for place, address in {places!r}.items():
    orders = making.Orders(place_of(address))
    # The next backup begins within the same second, and so with the id that the killed one had.
    time.sleep(1 - time.time() % 1)
    found[place] = [child(backup, place), child(backup), child(check)]
"""
    )
    assert found == {place: [-9, 0, 0] for place in PLACES}
    for place, address in places.items():
        made = _snapshots(Where.parse(address))
        assert len(made) == (2 if place == "backup.finished" else 1), place


def test_a_backup_killed_at_any_of_its_requests_is_made_again(there: tuple[Site, Where]) -> None:
    site, bucket = there
    found = site.facts(
        CHILDREN
        + BEGIN
        + f"""
bucket = Bucket(place_of({address_of(bucket)!r}), credentials)
# Old snapshots and keys are pruned by each.
orders = making.Orders(bucket.where, policy=Policy(days=0, least=1), keys_days=0)
def backup():
    assert not making.make(installation(), orders).problems
def backup_dying_before(number):
    left = number
    def count(request, **_):
        nonlocal left
        left -= request.method in ("PUT", "DELETE")
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
    bucket.client.meta.events.register("before-send.s3", count)
    backup()
backup()
found = []
while (ended := child(lambda: backup_dying_before(len(found) + 1))) == -signal.SIGKILL:
    backup()
    found.append(sorted(one.key.split("/")[2] for one in bucket.objects("snapshots/")))
assert not ended
assert not checking.check(bucket.where, credentials=credentials).problems
"""
    )
    # The database's own files differ; of each snapshot that is there, nothing is missing.
    whole = {"blobs.txt", "manifest.json", "manifest.sig", "metadata", "repository.json"}
    assert len(found) > 15
    assert all(set(names) == whole for names in found), found
    assert len(_snapshots(bucket)) == 1


def test_half_a_snapshot_is_in_nobodys_way_even_of_the_same_second(there: tuple[Site, Where]) -> None:
    site, bucket = there
    shelf = address_of(bucket)
    site.manage("backup", shelf)
    now = datetime.now(tz=UTC)
    for second in range(90):
        half = f"archive/snapshots/{new_id(2, now + timedelta(seconds=second))}/blobs.txt"
        owner(bucket).put_object(Bucket=bucket.bucket, Key=half, Body=b"half a list")
    made = _json(site.manage("backup", shelf, "--json").out)["snapshot"]
    assert made in {new_id(2, now + timedelta(seconds=second)) for second in range(90)}
    assert made in _snapshots(bucket)
    assert "whole" in site.manage("backup", shelf, "--check").out


def test_a_killed_restore_from_a_bucket_is_run_again(there: tuple[Site, Where]) -> None:
    site, bucket = there
    shelf, rows = address_of(bucket), site.facts(ROWS)
    site.manage("backup", shelf)
    site.lose()
    shutil.rmtree(site.home / "backup-work")
    found = site.facts(
        CHILDREN
        + BEGIN
        + f"""
wish = restoring.Wish(place_of({shelf!r}), log="adopt")
def restore():
    assert not restoring.restore(installation(), wish).problems
found = [child(restore, place) for place in ("bulk.batch", "restore.loaded", "")]
"""
    )
    assert found == [-9, -9, 0]
    assert site.facts(ROWS) == rows
    assert "archive/lock" not in everything_in(bucket)


def test_old_snapshots_blobs_and_keys_go_from_the_bucket(there: tuple[Site, Where]) -> None:
    site, bucket = there
    found = site.facts(
        BEGIN
        + f"""
orders = making.Orders(place_of({address_of(bucket)!r}), policy=Policy(days=0), keys_days=0)
made = [making.make(installation(), orders) for _ in range(2)]
gone = next(installation().blobs.names())
installation().blobs.delete(gone)
made += [making.make(installation(), orders) for _ in range(3)]
found = [[one.snapshot for one in made], made[-1].pruned, gone]
"""
    )
    snapshots, pruned, gone = found
    assert pruned == [snapshots[1]]
    keys = everything_in(bucket)
    assert {key.split("/")[2] for key in keys if "/snapshots/" in key} == set(snapshots[2:])
    assert [key for key in keys if gone in key] == []
    assert {key for key in keys if key.endswith(".tar.zst")} == {f"archive/keys/{snapshots[-1]}.tar.zst"}
    # Once they are kept elsewhere none stays.
    site.manage(
        "backup", address_of(bucket), "--keys", site.home.with_name("vault"), "--keys-days", "0", expect=1
    )
    assert not [key for key in everything_in(bucket) if key.startswith("archive/keys/")]


def test_what_cannot_serve_is_refused_in_one_line(there: tuple[Site, Where], s3_service: str) -> None:
    site, bucket = there
    strange, foreign, newer = (new_bucket(s3_service) for _ in range(3))
    other = {"format": "lucid/1 backups", "version": 1, "repository": "ab" * 16, "key": "cd" * 32}
    for where, key, content in (
        (strange, "archive/letters", "mine"),
        (foreign, "archive/lucid-backups.json", json.dumps(other)),
        (newer, "archive/lucid-backups.json", json.dumps({**other, "version": 2})),
    ):
        owner(where).put_object(Bucket=where.bucket, Key=key, Body=content.encode())
    for verb, where, code, word in (
        ("backup", address_of(strange), 2, "holds other objects"),
        ("backup", address_of(foreign), 2, "another installation"),
        ("backup", address_of(newer), 2, "format 2"),
        ("restore", address_of(bucket), 2, "holds no backups"),
        ("restore", address_of(newer), 2, "format 2"),
        ("backup", "s3://no-such-bucket?endpoint=" + bucket.endpoint, 3, "no bucket no-such-bucket"),
        ("backup", "s3://b?endpoint=http://127.0.0.1:9", 3, "Start that service"),
    ):
        said = site.manage(verb, where, expect=code)
        assert word in said.err
        assert said.err.count("\n") == 1
        assert "any secret" not in said.err


def test_a_full_bucket_leaves_the_earlier_backup_and_says_so(there: tuple[Site, Where]) -> None:
    site, bucket = there
    full = threading.Event()

    def change(command: str, path: str, body: bytes) -> bytes | None:
        return None if full.is_set() and command == "PUT" and not path.endswith("/lock") else body

    with between(bucket, change) as proxied:
        shelf = address_of(proxied)
        site.manage("backup", shelf)
        site.python(POPULATE + "record('third')")
        full.set()
        said = site.manage("backup", shelf, expect=3)
        assert "XMinioStorageFull. Free space in that service." in said.err
        assert said.err.count("\n") == 1
        full.clear()
        assert "whole" in site.manage("backup", shelf, "--check").out
        assert _json(site.manage("backup", shelf, "--json").out)["new_blobs"] == 3


def test_a_tampered_or_truncated_backup_is_refused_and_a_rotten_blob_is_copied_anew(
    there: tuple[Site, Where],
) -> None:
    site, bucket = there
    shelf, client = address_of(bucket), owner(bucket)
    site.manage("backup", shelf)
    keys = everything_in(bucket)
    rotten = next(key for key in keys if "/blobs/" in key)
    client.put_object(Bucket=bucket.bucket, Key=rotten, Body=b"rot")
    assert rotten.rsplit("/", 1)[1] in site.manage("backup", shelf, "--check", expect=1).err
    assert _json(site.manage("backup", shelf, "--json").out)["new_blobs"] == 1
    database = max(key for key in everything_in(bucket) if "/metadata/" in key and "rows" not in key)
    client.put_object(Bucket=bucket.bucket, Key=database, Body=keys.get(database, b"x" * 100)[:-1])
    said = site.manage("restore", shelf, "--over", expect=1)
    assert "is not what was signed" in said.err


def test_a_check_reads_the_bucket_and_not_the_local_copy(there: tuple[Site, Where]) -> None:
    site, bucket = there
    shelf, client = address_of(bucket), owner(bucket)
    site.manage("backup", shelf)
    body = min(key for key in everything_in(bucket) if "/body/" in key)
    right = everything_in(bucket)[body]
    client.put_object(Bucket=bucket.bucket, Key=body, Body=right[:-1] + b"!")
    assert body.rsplit("/", 1)[1] in site.manage("backup", shelf, "--check", expect=1).err
    # What is wrong in the bucket's log is right in the installation's, and goes up again.
    site.manage("backup", shelf)
    assert everything_in(bucket)[body] == right
    assert "whole" in site.manage("backup", shelf, "--check").out


def test_of_two_backups_at_once_the_second_waits(there: tuple[Site, Where]) -> None:
    site, bucket = there
    shelf = address_of(bucket)
    site.manage("backup", shelf)
    owner(bucket).put_object(Bucket=bucket.bucket, Key="archive/lock", Body=b'{"copy": "another host"}')
    assert "Another backup or restore is at work" in site.manage("backup", shelf, expect=3).err
    # Eleven minutes later by the service, which dates the lock; what time it is here does not matter.
    with between(bucket, lambda _command, _path, body: body, ahead_seconds=660) as later:
        assert Where.parse(address_of(later)).bucket == bucket.bucket
        assert "all read back" in site.manage("backup", address_of(later)).out


def test_a_backup_that_slept_until_another_took_over_never_counts(there: tuple[Site, Where]) -> None:
    site, bucket = there
    said = site.python(
        BEGIN
        + f"""
bucket = Bucket(place_of({address_of(bucket)!r}), credentials)
def sleep(*_):
    bucket.put("lock", b'{{"copy": "another host"}}')
making.make(installation(), making.Orders(bucket.where), tell=sleep)""",
        expect=1,
    )
    assert "Another backup or restore took over" in said.err
    keys = everything_in(bucket)
    assert not [key for key in keys if key.endswith("manifest.json")]
    assert keys["archive/lock"] == b'{"copy": "another host"}'
