"""The portable form holds every table of ours: what a restore or a move leaves behind is named, with why."""

from pathlib import Path

import pytest
import zstandard

from lucid_sessions.operations.backup import rows
from tests.operations.backup.site import POPULATE, ROWS, Site

# One row at least of everything that moves, beside what the installation has already.
FILLED = (
    POPULATE
    + """
from datetime import timedelta
from django.contrib.auth.models import Group
from django.utils import timezone
from lucid_sessions.access import audit, models as access
from lucid_sessions.recordings import audit_batches, models as recordings
now, world = timezone.now(), installation()
session = recordings.Session.objects.order_by("name").first()
group = Group.objects.create(name="some")
user = access.User.objects.create_superuser("someone")
user.groups.add(group)
access.ApiToken.objects.create(user=user, name="a token", digest="d" * 64, expires_at=now)
access.RevokedToken.objects.create(jti="some", expires_at=now)
access.FailedSignIns.objects.create(key="f" * 64, failures=3, locked_until=now + timedelta(hours=1))
access.Job.objects.create(kind="export", session=session.pk, user=user.pk, options={"tracks": ["screen"]})
access.Replay.objects.create(key="k" * 64, body="b" * 64, made=user.pk, expires_at=now)
hook = access.WebhookEndpoint.objects.create(url="https://receiver.test/", secret=b"sealed")
told = access.WebhookEvent.objects.create(kind="session.completed", facts={"name": "first"})
access.WebhookDelivery.objects.create(endpoint=hook.pk, event=told.pk, kind=told.kind)
recordings.Gap.objects.create(
    session=session, track="screen", take=1, number=1, from_us=0, to_us=1, reason="server lost")
recordings.RecorderHost.objects.create(spool="abcd1234", name="a host")
recordings.SessionTag.objects.create(session=session.pk, tag="some")
recordings.StoragePolicy.objects.create(scope="project", value="payments", retention_days=3650)
recordings.Upkeep.objects.create(name="a job", facts={"at": None})
audit.record("session.play", actor=audit.Actor(username="someone"), session=str(session.pk), why="asked")
assert audit_batches.tick(world) == 1
"""
)
LABELS = """
from django.apps import apps
from lucid_sessions.operations.backup import rows
moved = {model._meta.label for model in rows.portable_models()}
filled = {model._meta.label for model in rows.portable_models() if model._base_manager.exists()}
every = {model._meta.label for model in apps.get_models()}
found = [sorted(every - moved), sorted(moved - filled), sorted(rows.STAYING) == sorted(every - moved),
    all(rows.STAYING.values())]
"""
AUDIT = """
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import audit_batches
from lucid_sessions.recordings.installation import installation
found = [AuditEvent.objects.count(), audit_batches.check(installation())]
"""
DATABASE = ("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")


def test_every_table_moves_but_those_that_are_named_with_a_reason(site: Site) -> None:
    site.python(FILLED)
    staying, empty, named, reasons = site.facts(LABELS)
    assert staying == ["access.WebSession", "admin.LogEntry", "auth.Permission", "contenttypes.ContentType"]
    assert (empty, named, reasons) == ([], True, True)


def test_every_row_is_there_after_a_move_and_the_audit_is_what_the_log_fixed(
    site: Site, tmp_path: Path
) -> None:
    site.python(FILLED)
    before = site.facts(ROWS)
    site.manage("migrate_store", "--export", tmp_path / "rows.zst")
    site.lose(*DATABASE)
    assert "0 differ" in site.manage("migrate_store", "--import", tmp_path / "rows.zst").out
    assert site.facts(AUDIT) == [1, []]
    assert site.facts(ROWS) == before


@pytest.mark.parametrize("whole_lines", [True, False])
def test_of_a_file_that_was_cut_off_nothing_comes_in(site: Site, tmp_path: Path, whole_lines: bool) -> None:
    rows_file, cut = tmp_path / "rows.zst", tmp_path / "cut.zst"
    site.manage("migrate_store", "--export", rows_file)
    lines = list(rows.read(rows_file))
    packer = zstandard.ZstdCompressor().compressobj()
    content = packer.compress(b"".join(lines[:-5])) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    cut.write_bytes(content if whole_lines else content[:-30])
    site.lose(*DATABASE)
    said = site.manage("migrate_store", "--import", cut, expect=1)
    assert (said.out, said.err) == ("", f"{cut} is cut off: copy it again\n")
    assert "0 differ" in site.manage("migrate_store", "--import", rows_file).out


def test_rows_of_an_earlier_release_that_lacks_some_tables_come_in(site: Site, tmp_path: Path) -> None:
    site.python(FILLED)
    site.manage("migrate_store", "--export", tmp_path / "rows.zst")
    lacking = (b'"access.auditevent"', b'"access.apitoken"', b'"access.job"', b'"access.webhookendpoint"')
    kept = [one for one in rows.read(tmp_path / "rows.zst") if not any(label in one for label in lacking)]
    (tmp_path / "earlier.zst").write_bytes(zstandard.compress(b"".join(kept)))
    site.lose(*DATABASE)
    said = site.manage("migrate_store", "--import", tmp_path / "earlier.zst").out
    assert f"{len(kept)} rows are in" in said
    assert "0 differ" in said
