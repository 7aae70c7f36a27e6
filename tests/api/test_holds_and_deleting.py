"""Replacing, deleting, holding: what may go, when, and by whom."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.access.models import AuditEvent, Replay
from lucid_sessions.recordings import shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import LedgerRequest, Session

from .archive_of_one import sealed_session
from .people import client_of, person

pytestmark = pytest.mark.django_db

URL = "/api/v1/sessions"
NEW: dict[str, Any] = {"name": "n", "source": {"kind": "synthetic"}, "metadata": {"project": "p"}}


@pytest.fixture
def manager(world: Installation) -> Any:
    assert world.spool.identity
    return client_of(person("session_manager"))


def test_what_a_replacement_leaves_out_goes_back_to_its_default(manager: Any) -> None:
    made = manager.post(URL, NEW, format="json").json()
    address = f"{URL}/{made['id']}"
    shown = manager.put(address, {"name": "m", "source": {"kind": "synthetic"}}, format="json").json()
    assert (shown["name"], shown["metadata"]["project"]) == ("m", "")
    assert shown["version"] == made["version"] + 1
    other = {"name": "m", "source": {"kind": "x11", "display": ":0"}}
    assert manager.put(address, other, format="json").status_code == 409
    assert manager.put(address, {}, format="json").status_code == 400


def test_a_change_of_what_was_not_seen_is_refused(manager: Any) -> None:
    made = manager.post(URL, NEW, format="json")
    address = f"{URL}/{made.json()['id']}"
    tag = made["ETag"]
    assert manager.get(address)["ETag"] == tag
    assert manager.get(address, HTTP_IF_NONE_MATCH=tag).status_code == 304
    changed = manager.patch(address, {"name": "b"}, format="json", HTTP_IF_MATCH=tag)
    assert (changed.status_code, changed["ETag"] == tag) == (200, False)
    late = manager.patch(address, {"name": "c"}, format="json", HTTP_IF_MATCH=tag)
    assert (late.status_code, late.json()["code"]) == (412, "LUCID_ERR_1009")
    assert manager.delete(f"{address}?reason=x", HTTP_IF_MATCH=tag).status_code == 412
    assert manager.patch(address, {"name": "c"}, format="json", HTTP_IF_MATCH="*").status_code == 200
    assert Session.objects.get().name == "c"


def test_deleting_wants_a_reason_and_begins_at_once(manager: Any) -> None:
    address = f"{URL}/{manager.post(URL, NEW, format='json').json()['id']}"
    assert manager.delete(address).status_code == 400
    answer = manager.delete(f"{address}?reason=made+by+mistake")
    assert (answer.status_code, answer.json()["status"]) == (202, "expiring")
    assert Session.objects.get().expiry["why"] == "made by mistake"


def meanwhile(patch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Another one acts when a deletion was let through and is about to begin."""
    stock = shredding.begin

    def begin(*args: Any, **named: Any) -> Any:
        patch.setattr(shredding, "begin", stock)
        act()
        return stock(*args, **named)

    patch.setattr(shredding, "begin", begin)


def test_what_another_changes_while_it_is_deleted_stays_for_who_named_its_version(
    manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = manager.post(URL, NEW, format="json")
    address = f"{URL}/{made.json()['id']}"
    meanwhile(monkeypatch, lambda: manager.patch(address, {"name": "wanted"}, format="json"))
    late = manager.delete(f"{address}?reason=x", HTTP_IF_MATCH=made["ETag"])
    assert (late.status_code, late.json()["code"]) == (412, "LUCID_ERR_1009")
    assert manager.get(address).json()["status"] == "created"
    for header in ({}, {"HTTP_IF_MATCH": "*"}):
        other = f"{URL}/{manager.post(URL, NEW, format='json').json()['id']}"
        meanwhile(monkeypatch, lambda to=other: manager.patch(to, {"name": "m"}, format="json"))
        assert manager.delete(f"{other}?reason=x", **header).status_code == 202


def test_a_hold_that_is_placed_while_it_is_deleted_is_what_the_refusal_names(
    world: Installation, manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{URL}/{sealed_session(world).pk}"
    meanwhile(monkeypatch, lambda: manager.post(f"{address}/hold", {"reason": "case 7"}, format="json"))
    refused = manager.delete(f"{address}?reason=x")
    assert (refused.status_code, refused.json()["code"]) == (409, "LUCID_ERR_3011")
    assert "case 7" in refused.json()["detail"]


def test_what_is_deleted_does_not_change_any_more(manager: Any) -> None:
    address = f"{URL}/{manager.post(URL, NEW, format='json').json()['id']}"
    assert manager.delete(f"{address}?reason=r").status_code == 202
    asked = [
        *(ask(address, {"name": "m"}, format="json") for ask in (manager.patch, manager.put)),
        *(manager.post(f"{address}/{kind}", {}, format="json") for kind in ("export", "evidence")),
    ]
    for answer in asked:
        assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3004")
        assert "is expiring" in answer.json()["detail"]
    assert Session.objects.get().name == "n"


def test_what_is_being_deleted_is_not_played_and_does_not_grow(world: Installation, manager: Any) -> None:
    address = f"{URL}/{sealed_session(world).pk}"
    tag = manager.get(f"{address}/playback.m3u8")["ETag"]
    assert manager.delete(f"{address}?reason=r").status_code == 202
    # What shreds it may come later; a player must neither begin nor wait for more.
    for known in ({}, {"HTTP_IF_NONE_MATCH": tag}, {"HTTP_IF_NONE_MATCH": "*"}):
        played = manager.get(f"{address}/playback.m3u8", **known)
        assert (played.status_code, played.json()["code"]) == (409, "LUCID_ERR_3009"), known
    assert manager.get(f"{address}/filmstrip").json()["growing"] is False


def test_what_is_held_is_not_deleted_until_another_person_releases_it(
    world: Installation, manager: Any
) -> None:
    session = sealed_session(world)
    address = f"{URL}/{session.pk}"
    assert manager.post(f"{address}/hold", {}, format="json").status_code == 400
    held = manager.post(f"{address}/hold", {"reason": "case 7"}, format="json")
    assert (held.status_code, held.json()["held"]) == (201, True)
    assert manager.get(address).json()["held"] is True
    refused = manager.delete(f"{address}?reason=r")
    assert (refused.status_code, refused.json()["code"]) == (409, "LUCID_ERR_3011")
    release = f"{address}/hold/{held.json()['holds'][0]['id']}/release"
    assert manager.post(release, {"reason": "over"}, format="json").status_code == 409
    admin = client_of(person("admin"))
    freed = admin.post(release, {"reason": "case closed"}, format="json")
    assert (freed.status_code, freed.json()["held"]) == (200, False)
    assert set(LedgerRequest.objects.values_list("kind", flat=True)) >= {"held", "released"}
    assert manager.delete(f"{address}?reason=r").status_code == 202


def test_a_hold_is_released_by_the_whole_of_its_id_and_once(world: Installation, manager: Any) -> None:
    address = f"{URL}/{sealed_session(world).pk}/hold"
    hold = manager.post(address, {"reason": "case 7"}, format="json").json()["holds"][0]["id"]
    admin = client_of(person("admin"))

    def release(name: str) -> Any:
        return admin.post(f"{address}/{name}/release", {"reason": "over"}, format="json")

    for name in (hold[0], hold[:-1], "0" * 32):
        assert (release(name).status_code, release(name).json()["code"]) == (404, "LUCID_ERR_1012")
    assert release(hold).json()["held"] is False
    again = release(hold)
    assert (again.status_code, again.json()["code"]) == (409, "LUCID_ERR_3011")
    assert "was released by admin" in again.json()["detail"]


def test_a_hold_that_is_asked_for_twice_under_one_key_is_one_hold(world: Installation, manager: Any) -> None:
    address = f"{URL}/{sealed_session(world).pk}/hold"

    def place() -> Any:
        return manager.post(address, {"reason": "case 7"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

    first, again = place(), place()
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert again["Idempotent-Replayed"] == "true"
    # The first died before it could write down what it answered.
    Replay.objects.update(status=0, answer="", begun_at=timezone.now() - timedelta(minutes=2))
    assert place().json() == first.json()
    assert len(Session.objects.get().holds) == 1
    told = AuditEvent.objects.filter(action="session.held").values_list("why", flat=True)
    assert list(told) == ["case 7"] * 3
