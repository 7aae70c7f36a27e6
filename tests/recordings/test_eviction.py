"""A full archive that may evict makes room: what is overdue, then the oldest, and never what is held."""

from typing import Any

import pytest

from lucid_sessions.recordings import clock_guard, eviction, holds, quota, shredding, upkeep
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session
from tests.recordings import archived
from tests.recordings.people import person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def evicting(settings: Any) -> Any:
    settings.LUCID_WHEN_FULL, settings.LUCID_EVICT_MIN_DAYS = "evict", 7
    clock_guard.confirm(clock_guard.read())
    return settings


def _fill(sessions: list[Session], settings: Any, *, percent: int = 100) -> None:
    """As if the sessions took a GiB each, and the archive were so full."""
    Session.objects.update(used_bytes=quota.GIB, usage_due=False)
    settings.MAX_STORAGE_SIZE_GB = 100 * len(sessions) // percent
    quota.tick()
    upkeep.note("quota", upkeep.recall("quota") | {"projects": [["", len(sessions) * quota.GIB, 1]]})


def _gone() -> set[str]:
    return set(Session.objects.filter(status=Status.EXPIRING).values_list("name", flat=True))


def test_what_is_overdue_goes_first_then_the_oldest_and_no_more_than_needed(
    world: Installation, evicting: Any
) -> None:
    ages = {"overdue": 100, "old": 60, "older": 80, "young": 1}
    made = [archived.sealed(world, days_old=age, segments=1, name=name) for name, age in ages.items()]
    _fill(made, evicting)
    assert eviction.tick() == 1
    assert _gone() == {"overdue"}
    assert eviction.tick() == 0, "what is going counts already"
    archived.finish(Session.objects.get(name="overdue"), world)
    assert eviction.tick() == 0, "what is gone counts no more, whatever an older sum says"
    _fill(made[1:], evicting)
    assert eviction.tick() == 1
    assert _gone() == {"older"}
    assert Session.objects.get(name="older").expiry["cause"] == "quota"


def test_what_went_is_not_made_up_for_though_many_others_are_counted_before_it(
    world: Installation, evicting: Any
) -> None:
    waiting = Session.objects.bulk_create(
        Session(name="waits", source="synthetic://") for _ in range(3 * quota.PAGE)
    )
    made = [archived.sealed(world, days_old=60 + n, segments=1) for n in range(3)]
    _fill(made, evicting)
    Session.objects.filter(pk__in=[one.pk for one in waiting]).update(usage_due=True, used_bytes=0)
    assert eviction.tick() == 1
    archived.finish(Session.objects.get(status=Status.EXPIRING), world)
    for _ in range(3):
        quota.tick()
        assert eviction.tick() == 0
    assert quota.stored().used == 2 * quota.GIB


def test_held_young_and_unsealed_sessions_stay_however_full_it_is(world: Installation, evicting: Any) -> None:
    held = archived.sealed(world, days_old=400, segments=1, name="held")
    holds.place(held, by=person("officer"), why="case 17")
    young = archived.sealed(world, days_old=2, segments=1, name="young")
    unsealed = archived.sealed(world, days_old=400, segments=1, name="unsealed")
    Session.objects.filter(pk=unsealed.pk).update(sealed_revision=0)
    _fill([held, young, unsealed], evicting)
    assert eviction.tick() == 0
    assert _gone() == set()


def test_what_was_recovered_without_its_rules_stays_until_somebody_sets_them(
    world: Installation, evicting: Any
) -> None:
    recovered = archived.sealed(world, days_old=60, segments=1, name="recovered", source="recovered://")
    overdue = archived.sealed(world, days_old=400, segments=1, name="overdue", source="recovered://")
    _fill([recovered, overdue], evicting)
    assert eviction.tick() == 0
    Session.objects.filter(pk=recovered.pk).update(storage_config={"retention_days": 3650})
    assert eviction.tick() == 1
    assert _gone() == {"recovered"}


def test_sessions_that_have_to_stay_hide_none_that_may_go(world: Installation, evicting: Any) -> None:
    made = [archived.sealed(world, days_old=60 - n, segments=1, name=f"number {n}") for n in range(5)]
    for session in made[:4]:
        holds.place(session, by=person(session.name.replace(" ", "-")), why="case 17")
    _fill(made, evicting)
    assert eviction.tick(page=2) == 1
    assert _gone() == {"number 4"}


def test_nothing_is_evicted_below_the_limit_while_the_clock_is_in_doubt_or_without_the_policy(
    world: Installation, evicting: Any
) -> None:
    made = [archived.sealed(world, days_old=400, segments=1)]
    _fill([*made, *made, *made], evicting, percent=75)
    assert eviction.tick() == 0
    _fill(made, evicting)
    upkeep.note(clock_guard.NAME, upkeep.recall(clock_guard.NAME) | {"suspended": "the clock jumped"})
    assert eviction.tick() == 0
    clock_guard.confirm(clock_guard.read())
    evicting.LUCID_WHEN_FULL = "refuse"
    assert eviction.tick() == 0
    evicting.LUCID_WHEN_FULL = "evict"
    assert eviction.tick() == 1
    shredding.tick(world)


def test_the_console_is_told_what_fills_up(world: Installation, settings: Any) -> None:
    made = [archived.sealed(world, segments=1)]
    _fill([*made, *made, *made, *made], settings, percent=80)
    assert [(one.what, one.level) for one in quota.warnings() if one.what == "the archive"] == [
        ("the archive", 80)
    ]
