"""A create that was slow, not dead, while its client asked again under the same Idempotency-Key."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.access.models import Replay
from lucid_sessions.errors import Refused
from lucid_sessions.recordings import playback, sessions
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

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
def test_both_make_one_session_whose_keys_open(
    world: Installation, operator: Any, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    def again() -> Any:
        given_up_for_dead()
        return create(operator)

    came = slow_at(monkeypatch, place, name, meanwhile=again)
    first = create(operator)
    assert [(one.status_code, one.json()["id"]) for one in (first, *came)] == [
        (201, str(Session.objects.get().pk))
    ] * 2
    for track in ("screen", "thumb"):
        assert playback.session_identity(Session.objects.get().pk, track, world=world)
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
