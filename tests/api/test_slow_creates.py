"""A create whose answer is slow or lost, so that its client asks again under the same Idempotency-Key."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils import timezone

from lucid_sessions.access.models import Replay
from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.recordings import holds, sessions
from lucid_sessions.recordings.api import rendering
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/sessions"
NEW: dict[str, Any] = {"name": "n", "source": {"kind": "synthetic"}}


@pytest.fixture
def operator(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_operator"))


def create(client: Any) -> Any:
    return client.post(URL, NEW, format="json", HTTP_IDEMPOTENCY_KEY="k")


def given_up_for_dead() -> None:
    Replay.objects.update(begun_at=timezone.now() - timedelta(minutes=2))


def slow_at(patch: pytest.MonkeyPatch, place: Any, name: str, *, meanwhile: Callable[[], Any]) -> list[Any]:
    """What came of `meanwhile`, which happens when somebody is first about to do what `name` does."""
    stock, came = getattr(place, name), list[Any]()

    def slowly(*args: Any, **named: Any) -> Any:
        patch.setattr(place, name, stock)
        came.append(meanwhile())
        return stock(*args, **named)

    patch.setattr(place, name, slowly)
    return came


@pytest.mark.parametrize(("place", "name"), [(sessions, "_checked_source"), (sessions.group_commit, "write")])
def test_both_make_one_session(operator: Any, monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
    def again() -> Any:
        given_up_for_dead()
        return create(operator)

    came = slow_at(monkeypatch, place, name, meanwhile=again)
    first = create(operator)
    assert [(one.status_code, one.json()["id"]) for one in (first, *came)] == [
        (201, str(Session.objects.get().pk))
    ] * 2
    late = create(operator)
    assert (late.json(), late["Idempotent-Replayed"]) == (came[0].json(), "true")


def test_one_that_fails_late_does_not_free_the_key_that_another_has_taken_over(
    operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = timezone.now() + timedelta(seconds=90)

    def refuse(*_: Any, **__: Any) -> None:
        # As if the request that goes on with the key were being answered now.
        Replay.objects.update(begun_at=taken)
        raise Refused("source: its name was not found.")

    monkeypatch.setattr(sessions, "_checked_source", refuse)
    assert create(operator).status_code == 400
    row = Replay.objects.get()
    assert (row.status, abs(row.begun_at - taken) < timedelta(milliseconds=1)) == (0, True)


def failing_once(patch: pytest.MonkeyPatch, place: Any, name: str, *, error: Exception) -> None:
    """What `name` does fails the next time, and then no more."""

    def fail() -> None:
        raise error

    slow_at(patch, place, name, meanwhile=fail)


@pytest.mark.parametrize(
    "error", [OperationalError("away"), Retryable("The disk is full."), RuntimeError("a defect")]
)
def test_a_session_whose_answer_failed_is_found_when_it_is_asked_for_again(
    operator: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    operator.raise_request_exception = False
    failing_once(monkeypatch, rendering, "one_session", error=error)
    assert create(operator).status_code in (500, 503)
    (made,) = Session.objects.all()
    again = create(operator)
    assert (again.status_code, again.json()["id"]) == (201, str(made.pk))
    assert Session.objects.count() == 1
    assert create(operator)["Idempotent-Replayed"] == "true"


def test_an_answer_that_could_not_be_kept_is_given_again_at_once(
    operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_next_update() -> None:
        failing_once(monkeypatch, QuerySet, "update", error=OperationalError("away"))

    slow_at(monkeypatch, rendering, "one_session", meanwhile=lose_the_next_update)
    assert create(operator).status_code == 503
    assert create(operator).json()["id"] == str(Session.objects.get().pk)


def test_a_hold_whose_ledger_request_failed_is_found_when_it_is_asked_for_again(
    world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, manager = sealed_session(world), client_of(person("session_manager"))

    def place() -> Any:
        address = f"{URL}/{session.pk}/hold"
        return manager.post(address, {"reason": "case 7"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

    failing_once(monkeypatch, holds, "_ask", error=OperationalError("away"))
    assert place().status_code == 503
    (hold,) = Session.objects.get(pk=session.pk).holds
    assert [one["id"] for one in place().json()["holds"]] == [hold["id"]]
