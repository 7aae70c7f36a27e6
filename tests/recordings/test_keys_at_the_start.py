"""A session's keys are born when it is started: before a recorder may take it, and once."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks import feed
from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.recordings import playback, reconcile, session_keys, sessions, shredding
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session, SessionKey
from tests import factories
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)
SOURCE = "x11://:0"


@pytest.fixture
def created(world: Installation) -> Session:
    assert world.spool.identity
    return sessions.create(SOURCE, name="desk")


def publics(session: Session) -> dict[str, str]:
    return dict(SessionKey.objects.filter(session=session).values_list("track", "public"))


def must_open(session: Session, world: Installation) -> None:
    """The private half of each of its keys is there, for every track of its source."""
    assert set(publics(session)) == set(sessions.TRACKS["x11"])
    for track, public in publics(session).items():
        opened = playback.session_identity(session.pk, track, world=world)
        assert opened.recipient.public.hex() == public


def first(patch: pytest.MonkeyPatch, name: str, *, meanwhile: Callable[[], Any]) -> None:
    """When somebody is about to do what `name` does, the other is faster."""
    stock = getattr(sessions, name)

    def later(*args: Any, **facts: Any) -> Any:
        patch.setattr(sessions, name, stock)
        meanwhile()
        return stock(*args, **facts)

    patch.setattr(sessions, name, later)


def test_what_is_only_created_has_none_and_what_is_started_has_all(
    world: Installation, created: Session
) -> None:
    assert (publics(created), world.keys.sealed_keys(created.pk)) == ({}, [])
    sessions.start(created)
    must_open(created, world)


@pytest.mark.parametrize("at", ["complete_keys", "_new_keys", "_move"])
def test_of_two_who_start_it_at_once_one_does_and_its_keys_open(
    world: Installation, created: Session, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    first(monkeypatch, at, meanwhile=lambda: sessions.start(Session.objects.get()))
    with pytest.raises(Refused, match="is starting"):
        sessions.start(created)
    must_open(created, world)


def test_of_two_who_knew_of_different_tracks_both_leave_keys_that_open(
    world: Installation, created: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier release, which records fewer, is started from while this one replaces it."""

    def by_the_earlier() -> None:
        with monkeypatch.context() as earlier:
            earlier.setitem(sessions.TRACKS, "x11", ("screen", "thumb"))
            sessions.complete_keys(Session.objects.get())

    first(monkeypatch, "_new_keys", meanwhile=by_the_earlier)
    sessions.start(created)
    must_open(created, world)


@pytest.mark.parametrize("rows", [True, False])
def test_who_died_on_the_way_is_followed_by_another_with_the_same_keys(
    world: Installation, created: Session, rows: bool
) -> None:
    sessions.complete_keys(created)
    (path,) = world.keys.sealed_keys(created.pk)
    written = {one.statement for one in session_keys.read(path)}
    if not rows:
        SessionKey.objects.all().delete()
    sessions.start(created)
    must_open(created, world)
    assert {bytes(key.statement) for key in SessionKey.objects.all()} == written
    assert world.keys.sealed_keys(created.pk) == [path]


def test_while_keys_cannot_be_written_it_is_not_started_and_afterwards_it_is(
    world: Installation, created: Session
) -> None:
    place = world.keys_root / "sessions"
    with suppress(FileNotFoundError):
        place.rmdir()
    place.write_text("in the way")
    with pytest.raises(Retryable, match="A file stands where a directory is needed"):
        sessions.start(created)
    created.refresh_from_db()
    assert (created.status, publics(created)) == ("created", {})
    place.unlink()
    sessions.start(created)
    must_open(created, world)


@pytest.mark.parametrize("at", ["_new_keys", "_move"])
def test_of_one_that_is_deleted_meanwhile_no_key_stays(
    world: Installation, created: Session, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def delete() -> None:
        shredding.begin(Session.objects.get(), cause="api")
        archived.finish(created, world)

    first(monkeypatch, at, meanwhile=delete)
    with pytest.raises(Refused, match="is deleted"):
        sessions.start(created)
    assert (publics(created), world.keys.sealed_keys(created.pk)) == ({}, [])


def test_what_the_benchmarks_feed_goes_all_the_way(world: Installation, tmp_path: Path) -> None:
    source = tmp_path / "one.mp4"
    source.write_bytes(factories.segment_bytes())
    filed = feed.file([source], count=1)
    reconcile.work_inline(world)
    assert feed.stored(filed.session)


def test_a_started_one_keeps_its_keys_when_it_is_started_again(world: Installation, created: Session) -> None:
    sessions.start(created)
    before = publics(created)
    with pytest.raises(Refused):
        sessions.start(created)
    Session.objects.update(status="expiring")
    with pytest.raises(Refused):
        sessions.start(created)
    assert publics(created) == before
    must_open(created, world)
