"""Quota: what is used is counted, warned about, refused when full, and stopped when it runs away."""

import json
import os

import pytest
import structlog
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.operations.backup import session_rows
from lucid_sessions.recordings import intake, quota, reconcile, sessions, shredding, upkeep
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from tests import factories
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)

GIB = quota.GIB


def _used(session: Session) -> tuple[int, int, bool]:
    session.refresh_from_db()
    return session.used_bytes, session.used_files, session.usage_due


def _total() -> quota.Usage:
    return quota.usages()[0]


def _row(name: str, *, gib: float = 0.0, **fields: object) -> Session:
    facts = {"status": Status.COMPLETED, "used_bytes": int(gib * GIB), "used_files": 1, "usage_due": False}
    return Session.objects.create(name=name, source="synthetic://", **{**facts, **fields})


def test_spooled_and_stored_bytes_count_until_they_are_gone(world: Installation) -> None:
    session = factories.recorded_session(world, segments=2)
    quota.tick()
    raw = sum(Chunk.objects.values_list("raw_length", flat=True))
    assert _used(session) == (raw, 2, True)
    reconcile.work_inline(world)
    quota.tick()
    stored = sum(Chunk.objects.values_list("blob_length", flat=True))
    assert _used(session) == (stored + raw, 4, True)
    intake.release(world.spool)
    quota.tick()
    assert _used(session) == (stored, 2, False)
    assert (_total().used, _total().files) == (stored, 2)


def test_figures_agree_with_the_disks(world: Installation) -> None:
    session = archived.sealed(world, segments=3)
    intake.release(world.spool)
    quota.tick()
    on_disk = [world.blobs.size(name) for name in world.blobs.names()]
    assert _used(session) == (sum(on_disk), len(on_disk), False)


def test_a_shredded_session_counts_no_more(world: Installation) -> None:
    session = archived.sealed(world)
    quota.tick()
    shredding.begin(session, cause="shred")
    archived.finish(session, world)
    quota.tick()
    assert (_used(session), _total().used) == ((0, 0, False), 0)


def test_a_chunk_that_comes_after_the_seal_is_counted(world: Installation) -> None:
    session = archived.sealed(world)
    intake.release(world.spool)
    quota.tick()
    assert not _used(session)[2]
    factories.acknowledge(session, world, counter=3)
    factories.file_spool(world)
    reconcile.work_inline(world)
    intake.release(world.spool)
    quota.tick()
    assert _used(session)[1:] == (3, False)


def test_a_segment_that_comes_after_the_seal_and_is_refused_is_counted(world: Installation) -> None:
    session = archived.sealed(world)
    intake.release(world.spool)
    quota.tick()
    before, files, _ = _used(session)
    path = factories.acknowledge(session, world, counter=3)
    factories.file_spool(world)
    Chunk.objects.filter(path__gt="").update(quarantined_at=timezone.now(), reason="no video")
    reconcile.work_inline(world)
    quota.tick()
    assert _used(session) == (before + path.stat().st_size, files + 1, True)


def test_what_a_restored_database_does_not_know_to_be_shredded_counts_no_more(world: Installation) -> None:
    session = archived.sealed(world)
    quota.tick()
    intake.release(world.spool)
    quota.tick()
    assert _total().used
    session_rows.bury(session.pk, Status.DELETED)
    quota.tick()
    assert (_used(session), _total().used) == ((0, 0, False), 0)


def test_many_sessions_are_counted_page_by_page(world: Installation) -> None:
    made = [_row(f"s{number}", usage_due=True, gib=1) for number in range(5)]
    for _ in range(3):
        quota.tick(page=2)
    assert {_used(session) for session in made} == {(0, 0, False)}


def test_the_totals_are_summed_again_only_when_that_is_cheap(world: Installation) -> None:
    _row("a", gib=1)
    quota.tick()
    facts = upkeep.recall(quota.NAME)
    upkeep.note(quota.NAME, facts | {"took": 1000.0})
    _row("b", gib=1)
    quota.tick()
    assert _total().used == GIB
    upkeep.note(quota.NAME, facts | {"took": 0.0})
    quota.tick()
    assert _total().used == 2 * GIB


@pytest.mark.parametrize(
    ("used", "level"),
    [(0, 0), (79.9, 0), (80, 80), (89.9, 80), (90, 90), (95, 95), (99.9, 95), (100, 100), (150, 100)],
)
def test_levels_are_reached_at_80_90_95_and_100_percent(used: float, level: int) -> None:
    assert quota.Usage("the archive", int(used * 10), 1000).level == level


def test_each_level_is_said_once_on_the_way_up(world: Installation, settings: pytest.FixtureRequest) -> None:
    settings.MAX_STORAGE_SIZE_GB = 10
    row = _row("a", gib=8.5)
    with structlog.testing.capture_logs() as said:
        for gib in (8.5, 8.6, 9.6, 10.5, 10.6):
            Session.objects.filter(pk=row.pk).update(used_bytes=int(gib * GIB))
            upkeep.note(quota.NAME, upkeep.recall(quota.NAME) | {"took": 0.0})
            quota.tick()
    of_archive = [
        one for one in said if one["event"] == "storage fills up" and one["usage"].startswith("the a")
    ]
    assert [(round(one["percent"]), one["log_level"]) for one in of_archive] == [
        (85, "warning"),
        (96, "warning"),
        (105, "error"),
    ]


def test_a_limit_that_comes_or_goes_changes_nothing_of_what_was_said_of_others(world: Installation) -> None:
    for project, gib in (("aaa", 0.96), ("bbb", 0.96), ("ccc", 0.97)):
        _row(project, gib=gib, project=project)
        quota.tick()
    with structlog.testing.capture_logs() as said:
        for limited in (("aaa", "bbb"), ("bbb",), ("ccc",)):
            for project in ("aaa", "bbb", "ccc"):
                quota.limit_project(project, gigabytes=1 if project in limited else None)
            upkeep.note(quota.NAME, upkeep.recall(quota.NAME) | {"took": 0.0})
            quota.tick()
    full = [one["usage"].partition(":")[0] for one in said if one["event"] == "storage fills up"]
    assert [one for one in full if one.startswith("project")] == ["project aaa", "project bbb", "project ccc"]


def test_a_full_archive_takes_nothing_new_and_deletes_nothing(
    world: Installation, settings: pytest.FixtureRequest
) -> None:
    settings.MAX_STORAGE_SIZE_GB = 1
    _row("big", gib=1.2)
    quota.tick()
    new = sessions.create("synthetic://64x48", name="new")
    with pytest.raises(Retryable, match=r"storage is full \(the archive: 1.20 of 1 GiB \(120 %\)"):
        sessions.start(new)
    assert Session.objects.get(name="big").status == Status.COMPLETED
    settings.MAX_STORAGE_SIZE_GB = 2
    assert sessions.start(new).status == Status.STARTING


def test_a_full_project_refuses_its_own_and_nobody_elses(world: Installation) -> None:
    quota.limit_project("pay", gigabytes=1)
    _row("big", gib=1.2, project="pay")
    quota.tick()
    with pytest.raises(Retryable, match=r"project pay: 1\.20 of 1 GiB"):
        sessions.start(sessions.create("synthetic://64x48", name="a", project="pay"))
    assert sessions.start(sessions.create("synthetic://64x48", name="b", project="ops")).pk
    quota.limit_project("pay", gigabytes=None)
    assert sessions.start(sessions.create("synthetic://64x48", name="c", project="pay")).pk


def test_inodes_count_as_well_as_bytes(world: Installation) -> None:
    found = [usage for usage in quota.usages() if usage.what == "inodes"]
    room = os.statvfs(world.blobs_root)
    assert [usage.limit for usage in found] == ([room.f_files] if room.f_files else [])


def test_a_session_that_runs_away_is_stopped_with_the_reason(world: Installation) -> None:
    session = factories.recorded_session(world, segments=2)
    Session.objects.filter(pk=session.pk).update(
        status=Status.RECORDING, desired="record", storage_config={"max_size_gb": 0.000001}
    )
    quota.tick()
    session.refresh_from_db()
    assert (session.status, session.desired) == (Status.STOPPING, "stop")
    assert "over its limit" in session.reason
    reason = session.reason
    quota.tick()
    session.refresh_from_db()
    assert session.reason == reason


def test_the_reason_outlives_the_recorders_report_of_the_end(world: Installation) -> None:
    from lucid_sessions.recordings.host import DatabaseView
    from lucid_sessions.recordings.intake import Intake
    from recorder.supervisor import Event

    session = sessions.create("synthetic://64x48", name="runaway")
    sessions.start(session)
    view = DatabaseView(world.spool, Intake(world.spool), host="here")
    tenure = view.claim(session.pk)
    assert tenure is not None
    assert quota.stop(session, "over its limit")
    view.report(session.pk, tenure.take, Event("ended", "stopped", {}))
    session.refresh_from_db()
    assert (session.status, session.reason) == (Status.PROCESSING, "over its limit")


@pytest.mark.parametrize("nonsense", [0, -1, "many", None, True])
def test_a_limit_that_cannot_be_is_no_limit(nonsense: object) -> None:
    limit = quota.session_limit(Session(storage_config={"max_size_gb": nonsense}))
    assert limit == 0


@pytest.mark.parametrize("size", ["0", "-1", "x", "nan", "1e9"])
def test_a_project_limit_that_cannot_be_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        call_command("quota", "--project", "pay", size)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_command_shows_every_limit_and_fails_when_one_is_reached(
    world: Installation, settings: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MAX_STORAGE_SIZE_GB = 1
    _row("big", gib=1.5, project="pay")
    with pytest.raises(SystemExit, match="1"):
        call_command("quota", "--project", "pay", "2", "--json")
    told = {one["what"]: one["percent"] for one in json.loads(capsys.readouterr().out)["usages"]}
    assert (told["the archive"], told["project pay"]) == (150.0, 75.0)


def test_no_project_is_limited_by_an_empty_name() -> None:
    with pytest.raises(Refused, match="Name a project"):
        quota.limit_project("", gigabytes=1)
