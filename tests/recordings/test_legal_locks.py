"""Locks of held blobs in a bucket are put on again where what is known of them may not be so any more."""

from dataclasses import replace
from typing import Any

import pytest

from lucid_sessions.blobs import S3Blobs
from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.recordings import holds, locks, shredding, upkeep
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from tests.buckets import address_of, new_bucket
from tests.recordings import archived
from tests.recordings.people import person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def locked(world: Installation, s3_service: str) -> Installation:
    """The world with its blobs in a bucket that has Object Lock."""
    return _in_a_bucket(world, s3_service)


def _in_a_bucket(world: Installation, service: str) -> Installation:
    where = new_bucket(service, lock=True)
    S3Blobs.create(where, world.credentials)
    return replace(world, blobs_url=address_of(where))


def _held(world: Installation) -> Session:
    session = archived.sealed(world, segments=2)
    holds.place(session, by=person("officer"), why="case 17")
    assert locks.tick(world) == 2
    session.refresh_from_db()
    return session


def _is_locked(world: Installation) -> bool:
    name = min(world.blobs.names())
    content = world.blobs.get(name)
    try:
        world.blobs.delete(name)
    except Retryable:
        return True
    world.blobs.put(content, name=name)
    return False


def test_in_another_bucket_held_sessions_are_locked_again(locked: Installation, s3_service: str) -> None:
    _held(locked)
    elsewhere = _in_a_bucket(locked, s3_service)
    for name in locked.blobs.names():
        elsewhere.blobs.put(locked.blobs.get(name), name=name)
    assert not _is_locked(elsewhere)
    assert locks.tick(elsewhere) == 2
    assert _is_locked(elsewhere)
    assert locks.tick(elsewhere) == 0


def test_after_a_restore_what_the_database_says_of_locks_is_not_believed(locked: Installation) -> None:
    _held(locked)
    _unlock_behind_our_back(locked)
    locks.forget()
    assert locks.tick(locked) == 2
    assert _is_locked(locked)


def test_once_a_day_every_held_session_is_locked_again(locked: Installation) -> None:
    session = _held(locked)
    _unlock_behind_our_back(locked)
    assert locks.tick(locked) == 0
    for seconds in (locks.AGAIN_SECONDS + 1, -locks.AGAIN_SECONDS):  # the clock may have been set back
        known = upkeep.recall(locks.NAME)
        upkeep.note(locks.NAME, {**known, "at": known["at"] - seconds})
        assert locks.tick(locked) == 2
        assert _is_locked(locked)
    assert locks.tick(locked) == 0
    assert upkeep.recall(locks.NAME)["sessions"] == {str(session.pk): 2}


def test_what_was_released_while_nobody_knew_of_its_lock_can_go(locked: Installation) -> None:
    session = _held(locked)
    holds.release(session, session.active_holds[0]["id"], by=person("deputy"), why="closed")
    upkeep.note(locks.NAME, {"sessions": {}})
    assert locks.tick(locked) == 2
    assert not _is_locked(locked)
    assert locks.tick(locked) == 0


@pytest.mark.parametrize("turns", [0, 1])
def test_what_is_shredded_sooner_after_its_release_than_locks_are_seen_to_goes(
    locked: Installation, turns: int
) -> None:
    session = _held(locked)
    holds.release(session, session.active_holds[0]["id"], by=person("deputy"), why="closed")
    shredding.begin(session, cause="shred")
    shredding.bury_chunks(session.pk, locked, 0)
    for _ in range(turns):
        locks.tick(locked)  # which sees no stored chunk any more
    assert archived.finish(session, locked).status == Status.DELETED
    assert list(locked.blobs.names()) == []


def _unlock_behind_our_back(world: Installation) -> None:
    """As a new version under the same name is: scrub writes one, and a restore."""
    for name in world.blobs.names():
        world.blobs.unlock(name)


def test_a_session_that_cannot_be_locked_keeps_no_other_from_its_lock(locked: Installation) -> None:
    good, bad = (archived.sealed(locked, segments=2) for _ in range(2))
    for session in (good, bad):
        holds.place(session, by=person(f"officer of {session.pk}"), why="case 18")
    chunk = Chunk.objects.filter(session=bad.pk).latest("sequence")
    Chunk.objects.filter(pk=chunk.pk).update(blob="no name of a blob")
    for _ in range(2):
        with pytest.raises(Refused):
            locks.tick(locked)
        assert upkeep.recall(locks.NAME)["sessions"] == {str(bad.pk): locks.UNDER_WAY, str(good.pk): 2}


def test_one_turn_at_a_time_is_taken_however_long_it_takes(
    locked: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, stock, meanwhile = archived.sealed(locked, segments=2), locks._each, list[int]()

    def each(*args: Any, **named: Any) -> None:
        if not meanwhile:
            meanwhile.append(-1)
            meanwhile.append(locks.tick(locked))
        stock(*args, **named)

    monkeypatch.setattr(locks, "_each", each)
    holds.place(session, by=person("officer"), why="case 17")
    assert (locks.tick(locked), meanwhile) == (2, [-1, 0])
    assert _is_locked(locked)
