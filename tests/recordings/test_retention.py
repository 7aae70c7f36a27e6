"""Retention: what is too old goes, by the most specific policy, and only while the clock can be believed."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from lucid_sessions.access.models import uuid7
from lucid_sessions.errors import Refused
from lucid_sessions.operations.backup import session_rows
from lucid_sessions.recordings import clock_guard, retention
from lucid_sessions.recordings.clock_guard import Reading
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Chunk, Session, StoragePolicy
from tests import factories
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600.0
NOON = Reading(wall=1_800_000_000.0, steady=1000.0, boot="a")


def _later(seconds: float, *, jump: float = 0.0, boot: str = "a") -> Reading:
    return Reading(NOON.wall + seconds + jump, NOON.steady + seconds, boot)


def _row(name: str, *, days_old: float, **fields: object) -> Session:
    """A sealed session without any bytes: enough for what is decided by its row."""
    ended = timezone.now() - timedelta(days=days_old)
    facts = {"status": Status.COMPLETED, "sealed_revision": 1, "source": "synthetic://", **fields}
    return Session.objects.create(name=name, ended_at=ended, **facts)


def _due() -> dict[str, str]:
    return {one.session.name: one.rule.origin for one in retention.due()}


def test_ninety_days_are_kept_unless_a_policy_says_otherwise() -> None:
    _row("old", days_old=91)
    _row("young", days_old=89)
    assert _due() == {"old": "the default"}
    retention.keep("default", days=30)
    assert set(_due()) == {"old", "young"}


def test_the_most_specific_policy_counts_and_of_several_tags_the_longest() -> None:
    for scope, days in (
        ("default", 10),
        ("project=pay", 20),
        ("environment=prod", 30),
        ("tag=audit", 40),
        ("tag=tax", 50),
    ):
        retention.keep(scope, days=days)
    policies = retention.known_policies()
    where = {"project": "pay", "environment": "prod"}
    cases = [
        ({}, 10),
        ({"project": "pay"}, 20),
        (where, 30),
        ({**where, "tags": ["audit"]}, 40),
        ({**where, "tags": ["audit", "tax", "none"]}, 50),
        ({**where, "tags": ["tax"], "storage_config": {"retention_days": 5}}, 5),
        ({"project": "other"}, 10),
    ]
    for fields, days in cases:
        assert retention.rule_for(Session(**fields), policies).days == days, fields


@pytest.mark.parametrize("nonsense", [0, -1, 3651, "7", None, 1.5])
def test_a_configuration_that_cannot_be_is_not_believed(nonsense: object) -> None:
    session = Session(storage_config={"retention_days": nonsense})
    assert retention.rule_for(session, {}).days == retention.DEFAULT_DAYS


@pytest.mark.parametrize("days", [0, -5, 3651])
def test_a_policy_of_no_days_is_refused(days: int) -> None:
    with pytest.raises(Refused, match=f"{days} days: a policy keeps sessions for 1 to 3650 days"):
        retention.keep("default", days=days)
    assert not StoragePolicy.objects.exists()


@pytest.mark.parametrize("scope", ["", "project", "project=", "default=x", "colour=red"])
def test_a_scope_that_does_not_exist_is_refused(scope: str) -> None:
    with pytest.raises(Refused, match="is no scope"):
        retention.keep(scope, days=7)


def test_a_policy_can_be_taken_back() -> None:
    retention.keep("project=pay", days=7)
    retention.forget("project=pay")
    assert retention.known_policies() == {}
    with pytest.raises(Refused, match="no retention policy"):
        retention.forget("project=pay")


def test_sessions_and_chunks_go_together(world: Installation) -> None:
    old = archived.sealed(world, days_old=91)
    young = archived.sealed(world, days_old=1.5, name="young")
    clock_guard.confirm(clock_guard.read())
    assert retention.tick(world) == 1
    assert archived.finish(old, world).status == Status.DELETED
    assert archived.left(old, world) == archived.NOTHING
    young.refresh_from_db()
    assert young.status == Status.COMPLETED
    assert set(Chunk.objects.filter(session=young).values_list("state", flat=True)) == {State.ANCHORED}


def test_what_is_live_or_not_sealed_is_never_too_old(world: Installation) -> None:
    late = archived.sealed(world, days_old=400, name="late chunk")
    factories.acknowledge(late, world, counter=3)
    factories.file_spool(world)
    for status in Status:
        if status not in (Status.COMPLETED, Status.FAILED):
            _row(status, days_old=400, status=status)
    _row("not sealed", days_old=400, sealed_revision=0)
    found = {one.session.name: one.obstacle for one in retention.due()}
    assert set(found) == {"not sealed", "late chunk"}
    assert all(found.values())
    clock_guard.confirm(clock_guard.read())
    assert retention.tick(world) == 0


def test_what_was_recovered_is_kept_until_somebody_says_for_how_long(world: Installation) -> None:
    recovered = session_rows.create(uuid7(), status=Status.COMPLETED)
    Session.objects.filter(pk=recovered.pk).update(
        sealed_revision=1, ended_at=timezone.now() - timedelta(days=91)
    )
    clock_guard.confirm(clock_guard.read())
    assert retention.tick(world) == 0
    (one,) = retention.due()
    assert "how long it was to be kept is lost" in one.obstacle
    retention.keep("default", days=30)
    assert retention.tick(world) == 0, (
        "a default is for sessions of which it is known that nothing else counts"
    )
    retention.keep("project=payments", days=60)
    Session.objects.filter(pk=recovered.pk).update(project="payments")
    assert retention.tick(world) == 1


def test_a_recovered_session_goes_when_its_own_days_are_over(world: Installation) -> None:
    recovered = session_rows.create(uuid7(), status=Status.COMPLETED)
    ended = timezone.now() - timedelta(days=91)
    Session.objects.filter(pk=recovered.pk).update(sealed_revision=1, ended_at=ended)
    for days, begun in ((3650, 0), (90, 1)):
        Session.objects.filter(pk=recovered.pk).update(storage_config={"retention_days": days})
        clock_guard.confirm(clock_guard.read())
        assert retention.tick(world) == begun


def test_a_tick_is_bounded_and_the_next_goes_on_behind_it(world: Installation) -> None:
    for number in range(7):
        _row(f"s{number}", days_old=200 - number)
    clock_guard.confirm(clock_guard.read())
    begun = [retention.tick(world, most=3) for _ in range(4)]
    assert sum(begun) == 7
    assert max(begun) <= 3


def test_every_session_gets_its_look_however_many_are_kept_before_it(world: Installation) -> None:
    for number in range(9):
        _row(f"kept {number}", days_old=500 - number, storage_config={"retention_days": 3650})
    _row("old", days_old=400)
    clock_guard.confirm(clock_guard.read())
    assert [retention.tick(world, page=4) for _ in range(3)] == [0, 0, 1]


def test_the_first_look_at_the_clock_deletes_nothing(world: Installation) -> None:
    _row("old", days_old=400)
    assert [retention.tick(world, now=_later(second)) for second in (0, 60)] == [0, 1]


@pytest.mark.parametrize("jump", [-30 * 24 * HOUR, -1.1 * HOUR, 1.1 * HOUR, 30 * 24 * HOUR])
def test_a_clock_that_jumps_stops_deletion_until_somebody_confirms(world: Installation, jump: float) -> None:
    _row("old", days_old=400)
    retention.tick(world, now=NOON)
    assert retention.tick(world, now=_later(60, jump=jump)) == 0
    assert "that did not pass" in clock_guard.look(_later(61, jump=jump))
    assert "that did not pass" in clock_guard.suspended()
    # Going back to where it was is no confirmation either: which of the two was right?
    assert retention.tick(world, now=_later(120)) == 0
    clock_guard.confirm(_later(180))
    assert clock_guard.suspended() == ""
    assert retention.tick(world, now=_later(240)) == 1


def test_a_service_that_was_down_for_days_is_no_jump_while_the_machine_ran(world: Installation) -> None:
    _row("old", days_old=400)
    retention.tick(world, now=NOON)
    assert retention.tick(world, now=_later(5 * 24 * HOUR)) == 1


@pytest.mark.parametrize(("away", "begun"), [(0.5 * HOUR, 1), (2 * HOUR, 0), (-2 * HOUR, 0)])
def test_after_a_reboot_only_the_wall_clock_is_left_to_compare(
    world: Installation, away: float, begun: int
) -> None:
    _row("old", days_old=400)
    retention.tick(world, now=NOON)
    assert retention.tick(world, now=_later(away, boot="b")) == begun


def test_small_corrections_of_the_clock_are_no_jump(world: Installation) -> None:
    _row("old", days_old=400)
    retention.tick(world, now=NOON)
    assert retention.tick(world, now=_later(60, jump=-0.9 * HOUR)) == 1


def test_what_expires_already_goes_on_while_the_clock_is_in_doubt(world: Installation) -> None:
    old = archived.sealed(world, days_old=400)
    retention.tick(world, now=NOON)
    Session.objects.filter(pk=old.pk).update(status=Status.EXPIRING, expiry={"cause": "shred"})
    retention.tick(world, now=_later(60, jump=9 * HOUR))
    assert archived.left(old, world) == archived.NOTHING


def test_the_command_shows_and_does_not_do(world: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    old = archived.sealed(world, days_old=91)
    _row("soon", days_old=85)
    assert _call("retention") == 0
    said = capsys.readouterr().out
    assert "goes   old: ended " in said
    assert "kept 90 days by the default" in said
    assert "Nothing was deleted. To let these go: --apply." in said
    assert _call("retention", "--within", "7") == 0
    said = capsys.readouterr().out
    assert "soon" in said
    assert "--apply lets go what is due today." in said
    old.refresh_from_db()
    assert old.status == Status.COMPLETED


def test_the_command_applies_once_the_clock_is_believed(
    world: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    archived.sealed(world, days_old=91)
    assert _call("retention", "--apply") == 2
    assert "seen for the first time" in capsys.readouterr().err
    assert _call("retention", "--apply", "--json") == 0
    assert [one["days"] for one in json.loads(capsys.readouterr().out)["expired"]] == [90]
    assert Session.objects.get().status == Status.EXPIRING
    _call("retention")
    assert "expiring  old: waits for its record" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--keep", "default", "0"),
        ("--keep", "default", "many"),
        ("--keep", "nowhere", "7"),
        ("--forget", "project=none"),
        ("--within", "-1"),
        ("--within", "999999999"),
        ("--apply", "--within", "3"),
        ("--limit", "0"),
    ],
)
def test_bad_arguments_are_one_clear_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call("retention", *arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def _call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        call_command(*arguments)
    return int(str(exited.value.code))
