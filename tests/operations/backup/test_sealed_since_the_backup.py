"""A session that was recorded when the backup was made, and sealed since: it is over, as its seal says."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.operations.backup import session_rows
from lucid_sessions.recordings import ledger_rows, reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import LIVE, Desired, Status
from lucid_sessions.recordings.models import Gap, LedgerRecord, Session, Take
from lucid_sessions.recordings.verification import verify
from tests import factories
from tests.operations.backup.site import POPULATE, Site
from tests.recordings.archived import sealed

RECORDING = (
    POPULATE
    + """
from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.lifecycle import Desired, Status
from lucid_sessions.recordings.models import Session, Take
world = installation()
def store(session):
    factories.file_spool(world)
    ids = list(Chunk.objects.filter(session=session).values_list("pk", flat=True))
    pipeline.run(["capture", "compress", "encrypt", "store"], ids, world=world)
    sealing.seal(world)
"""
)
CREATED = (
    RECORDING
    + """
sessions.create("synthetic://64x48", name="live")
"""
)
BEGUN = (
    RECORDING
    + """
session = Session.objects.get(name="live")
sessions.start(session)
Session.objects.filter(pk=session.pk).update(status=Status.RECORDING, desired=Desired.RECORD)
factories.take(session, world)
factories.acknowledge(session, world, counter=1)
store(session)
"""
)
# A segment more; one that never arrived; and a gap.
ENDED = (
    RECORDING
    + """
session = Session.objects.get(name="live")
factories.acknowledge(session, world, counter=2)
factories.gap(session, world, from_us=2_000_000, to_us=3_000_000, reason="server lost")
factories.close(session, world, last_counter=3)
factories.file_spool(world)
factories.end(session)
store(session)
session.refresh_from_db()
assert session.sealed_revision == 1, session.status
"""
)
FACTS = """
from lucid_sessions.recordings import host, intake, sealing, verification
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.models import Session, Take
world = installation()
intake.Intake(world.spool).scan()
sealing.seal(world)
session = Session.objects.get(name="live")
report = verification.verify(session)
found = {
    "session": [session.status, session.desired, session.sealed_revision, bool(session.ended_at)],
    "wanted": [str(one) for one in host.DatabaseView(world.spool, intake.Intake(world.spool)).wanted()],
    "open": Take.objects.filter(session=session, ended_at__isnull=True).count(),
    "seal": [report.revision, report.gaps, report.missing, len(report.findings)],
}
"""
GAP = {"track": "screen", "take": 1, "from_us": 2_000_000, "to_us": 3_000_000, "reason": "server lost"}
MISSING = {"track": "screen", "sequence": (1 << 32) + 3, "reason": "never arrived"}


@pytest.mark.parametrize("lost", [("--spool-lost", "all"), (), None])
def test_it_is_over_and_its_seal_stays_what_it_was(
    site: Site, tmp_path: Path, lost: tuple[str, ...] | None
) -> None:
    site.python(CREATED)
    site.python(BEGUN)
    site.manage("backup", tmp_path / "backups")
    site.python(ENDED)
    before = site.facts(FACTS)
    expected: Any = ["completed", "stop", 1, True]
    assert (before["session"], before["wanted"], before["open"]) == (expected, [], 0)
    assert before["seal"] == [1, [{**GAP, "uncertain": False}], [MISSING], 0]
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    if lost is not None:
        site.lose("spool")
    site.manage("restore", tmp_path / "backups", "--over", *(lost or ()))
    assert json.dumps(site.facts(FACTS)) == json.dumps(before)


OPENED = """
from lucid_sessions.recordings import playback
found |= {"segments": [len(playback.segment(one)) for one in playback.archived(session)]}
"""


@pytest.mark.parametrize("lost", [("--spool-lost", "all"), ()])
def test_what_was_started_since_has_its_keys(site: Site, tmp_path: Path, lost: tuple[str, ...]) -> None:
    """They were born after the backup of the database: their statements lie beside the sealed keys."""
    site.python(CREATED)
    site.manage("backup", tmp_path / "backups")
    site.python(BEGUN)
    site.python(ENDED)
    before = site.facts(FACTS + OPENED)
    assert before["seal"] == [1, [{**GAP, "uncertain": False}], [MISSING], 0]
    assert len(before["segments"]) == 2
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm", "spool")
    site.manage("restore", tmp_path / "backups", "--over", *lost)
    assert json.dumps(site.facts(FACTS + OPENED)) == json.dumps(before)


@pytest.mark.django_db(transaction=True)
def test_a_gap_whose_host_is_back_only_after_the_restore_is_sealed_once(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    factories.gap(session, world, from_us=1_000_000, to_us=3_000_000, reason="server lost")
    factories.file_spool(world)
    reconcile.work_inline(world)
    # What a restore does whose backup is older, while that host is away.
    Gap.objects.all().delete()
    record = LedgerRecord.objects.get(kind="sealed")
    session_rows.follow_seal(session.pk, ledger_rows.read_body(world.log(), record))
    factories.file_spool(world)
    reconcile.work_inline(world)
    session.refresh_from_db()
    (gap,) = verify(session).gaps
    assert gap == {**GAP, "from_us": 1_000_000, "uncertain": False}
    assert (session.sealed_revision, Gap.objects.get().number) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_it_ended_where_its_timeline_does_however_late_it_was_sealed(world: Installation) -> None:
    session = sealed(world)
    began = timezone.now() - timedelta(hours=5)
    older = {"status": Status.RECORDING, "sealed_revision": 0, "started_at": began, "ended_at": None}
    Session.objects.filter(pk=session.pk).update(**older)
    LedgerRecord.objects.filter(kind="sealed").update(applied=False)
    ledger_rows.apply_all(world.log())
    session.refresh_from_db()
    assert session.ended_at == session.started_at + timedelta(microseconds=2 * factories.SEGMENT_US)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [Status.CREATED, *LIVE])
def test_whatever_an_older_database_takes_it_for(world: Installation, status: Status) -> None:
    session = sealed(world)
    older = {"status": status, "desired": Desired.RECORD, "sealed_revision": 0, "ended_at": None}
    Session.objects.filter(pk=session.pk).update(**older)
    Take.objects.filter(session=session).update(ended_at=None)
    LedgerRecord.objects.filter(kind="sealed").update(applied=False)
    ledger_rows.apply_all(world.log())
    session.refresh_from_db()
    assert (session.status, session.desired, session.sealed_revision) == ("completed", "stop", 1)
    (take,) = session.takes.all()
    assert session.ended_at == take.ended_at is not None
