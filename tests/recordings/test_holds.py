"""Legal holds: nothing of a held session may go, and releasing needs a second person."""

import json

import pytest
from django.core.management import call_command

from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.recordings import clock_guard, holds, retention, sealing, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import LedgerRecord, LedgerRequest, Session
from tests import factories
from tests.recordings import archived
from tests.recordings.people import bystander, person

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_held_session_stays_whoever_wants_it_gone(world: Installation) -> None:
    session = archived.sealed(world, days_old=400)
    holds.place(session, by=person("officer"), why="case 17")
    with pytest.raises(Refused, match=r"legal hold \(case 17; placed by officer\)"):
        shredding.begin(session, cause="shred")
    assert [one.obstacle.split(" (")[0] for one in retention.due()] == ['Session "old" is under legal hold']
    clock_guard.confirm(clock_guard.read())
    assert retention.tick(world) == 0
    session.refresh_from_db()
    assert (session.status, archived.left(session, world).blobs) == (Status.COMPLETED, 2)


def test_it_goes_once_another_person_has_released_every_hold(world: Installation) -> None:
    officer, deputy = person("officer"), person("deputy")
    session = archived.sealed(world, days_old=400)
    first = holds.place(session, by=officer, why="case 17")
    second = holds.place(session, by=deputy, why="case 18")
    holds.release(session, first["id"], by=deputy, why="closed")
    with pytest.raises(Refused, match="case 18"):
        shredding.begin(session, cause="shred")
    holds.release(session, second["id"][:8], by=officer, why="closed")
    shredding.begin(session, cause="shred")
    assert archived.finish(session, world).status == Status.DELETED


def test_who_placed_a_hold_cannot_release_it(world: Installation) -> None:
    officer = person("officer")
    session = archived.sealed(world)
    hold = holds.place(session, by=officer, why="case 17")
    with pytest.raises(Refused, match="another person"):
        holds.release(session, hold["id"], by=officer, why="done")
    session.refresh_from_db()
    assert len(session.active_holds) == 1


def test_a_live_session_can_be_held(world: Installation) -> None:
    session = factories.recorded_session(world)
    Session.objects.filter(pk=session.pk).update(status=Status.RECORDING)
    assert holds.place(session, by=person("officer"), why="seen live")["by"] == "officer"


@pytest.mark.parametrize("status", [Status.EXPIRING, Status.DELETED])
def test_what_is_going_or_gone_cannot_be_held(world: Installation, status: Status) -> None:
    session = archived.sealed(world)
    Session.objects.filter(pk=session.pk).update(status=status)
    with pytest.raises(Refused, match=f"is {status}"):
        holds.place(session, by=person("officer"), why="too late")


def test_a_hold_needs_a_reason_and_a_person_who_may(world: Installation) -> None:
    session = archived.sealed(world)
    with pytest.raises(Refused, match="Say why"):
        holds.place(session, by=person("officer"), why="  ")
    with pytest.raises(Refused, match="at most 500"):
        holds.place(session, by=person("deputy"), why="x" * 501)
    with pytest.raises(Refused, match="may not hold"):
        holds.place(session, by=bystander("outsider"), why="curious")
    retired = person("old officer")
    retired.is_active = False
    with pytest.raises(Refused, match="may not hold"):
        holds.place(session, by=retired, why="still here")


def test_an_unknown_or_released_hold_is_named_as_such(world: Installation) -> None:
    officer, deputy = person("officer"), person("deputy")
    session = archived.sealed(world)
    hold = holds.place(session, by=officer, why="case 17")
    with pytest.raises(Refused, match=hold["id"][:8]):
        holds.release(session, "0000" if hold["id"].startswith("f") else "ffff", by=deputy, why="done")
    holds.release(session, hold["id"], by=deputy, why="done")
    with pytest.raises(Refused, match="Its holds: none"):
        holds.release(session, hold["id"], by=deputy, why="again")


def test_holds_and_releases_are_ledger_records_of_ids_only(world: Installation) -> None:
    officer, deputy = person("officer"), person("deputy")
    session = archived.sealed(world)
    hold = holds.place(session, by=officer, why="the Secret case")
    holds.release(session, hold["id"], by=deputy, why="Mr Secret has paid")
    sealing.seal(world)
    records = LedgerRecord.objects.filter(kind__in=["held", "released"]).order_by("index")
    facts = [json.loads(record.entry) for record in records]
    assert [(one["kind"], one["by"], one["hold"]) for one in facts] == [
        ("held", str(officer.pk), hold["id"]),
        ("released", str(deputy.pk), hold["id"]),
    ]
    assert "Secret" not in "".join(record.entry for record in records)


def test_a_hold_whose_writer_died_before_the_ledger_knew_is_remembered(world: Installation) -> None:
    session = archived.sealed(world)
    hold = holds.place(session, by=person("officer"), why="case 17")
    LedgerRequest.objects.filter(kind="held").delete()
    Session.objects.filter(pk=session.pk).update(holds_due=True)
    assert holds.remember() == 1
    assert LedgerRequest.objects.get(kind="held").key == f"held:{hold['id']}"
    assert holds.remember() == 0


def test_a_hold_on_a_row_that_keeps_changing_is_an_honest_failure(world: Installation) -> None:
    session = archived.sealed(world)
    seen = Session.objects.get(pk=session.pk)
    Session.objects.filter(pk=session.pk).update(version=seen.version + 1)
    assert not holds.write(seen, [{"id": "x"}])
    session.refresh_from_db()
    assert session.holds == []
    with pytest.raises(Retryable, match="keeps changing"):
        for _ in holds.readings(session):
            pass


def test_the_commands_say_what_happened(world: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    person("officer"), person("deputy")
    session = archived.sealed(world, name="deploy")
    for arguments in (
        ("hold", "deploy", "--by", "officer", "--why", "case 17"),
        ("shred", "deploy", "--by", "deputy", "--why", "asked"),
        ("hold", "deploy"),
    ):
        with pytest.raises(SystemExit):
            call_command(*arguments)
    said = capsys.readouterr()
    assert 'Session "deploy" is held (hold ' in said.out
    assert "officer: case 17" in said.out
    assert "under legal hold" in said.err
    session.refresh_from_db()
    with pytest.raises(SystemExit, match="2"):
        call_command("release", "deploy", session.holds[0]["id"], "--by", "officer", "--why", "done")
    with pytest.raises(SystemExit, match="0"):
        call_command("release", "deploy", session.holds[0]["id"], "--by", "deputy", "--why", "done")


def test_held_sessions_do_not_stop_the_others(world: Installation) -> None:
    held, free = archived.sealed(world, days_old=400), archived.sealed(world, days_old=300, name="free")
    holds.place(held, by=person("officer"), why="case 17")
    clock_guard.confirm(clock_guard.read())
    assert retention.tick(world) == 1
    assert archived.finish(free, world).status == Status.DELETED
