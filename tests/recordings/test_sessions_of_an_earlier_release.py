"""A release that records more tracks than the one before has a key for each, or leaves it out and says so."""

import pytest

from lucid_sessions.recordings import intake, playback, session_keys, sessions
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session, SessionKey
from recorder.supervisor import Event
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
CONFIG = {"input": "masked", "audio_enabled": True}


@pytest.fixture
def created_before(world: Installation) -> Session:
    """A session as it was created when `input` and `audio` of its kind of source were not yet known."""
    session = factories.ready("x11://:0", name="desk", recording_config=CONFIG)
    later = SessionKey.objects.filter(session=session, track__in=["input", "audio"])
    born = {key.track: key for key in SessionKey.objects.filter(session=session)}
    (path,) = world.keys.sealed_keys(session.pk)
    kept = [one for one in session_keys.read(path) if one.statement != bytes(born["input"].statement)]
    path.write_bytes(
        session_keys.to_bytes([k for k in kept if k.statement != bytes(born["audio"].statement)])
    )
    later.delete()
    return session


def test_what_an_earlier_release_created_gets_the_keys_it_lacks_at_its_start(
    world: Installation, created_before: Session
) -> None:
    screen = SessionKey.objects.get(session=created_before, track="screen").public
    sessions.start(created_before)
    keys = {key.track: key.public for key in SessionKey.objects.filter(session=created_before)}
    assert set(keys) == set(sessions.TRACKS["x11"])
    assert keys["screen"] == screen
    for track in keys:
        assert playback.session_identity(created_before.pk, track, world=world)
    (wanted,) = DatabaseView(world.spool, intake.Intake(world.spool)).wanted()
    assert (wanted.settings.input, wanted.settings.sound) == ("masked", True)


def test_what_an_earlier_release_started_is_recorded_without_these_tracks_and_says_so(
    world: Installation, created_before: Session
) -> None:
    rows = Session.objects.filter(pk=created_before.pk)
    rows.update(status="starting", desired="record")
    view = DatabaseView(world.spool, intake.Intake(world.spool))
    (wanted,) = view.wanted()
    assert (wanted.settings.input, wanted.settings.sound) == ("none", False)
    assert wanted.settings.poster_width is not None
    tenure = view.claim(created_before.pk)
    assert tenure is not None
    view.report(created_before.pk, tenure.take, Event("statistics", "", {"frames": 7}))
    said = rows.get().statistics
    assert (said["frames"], said["not_recorded"]) == (7, ["audio", "input"])
    assert "earlier release" in said["not_recorded_because"]


def test_what_an_earlier_release_starts_waits_for_its_keys(world: Installation) -> None:
    """It moves the session first, and gives it the keys a moment later."""
    session = sessions.create("x11://:0", name="desk", recording_config=CONFIG)
    Session.objects.update(status="starting", desired="record")
    view = DatabaseView(world.spool, intake.Intake(world.spool))
    assert view.wanted() == []
    sessions.complete_keys(session)
    (wanted,) = view.wanted()
    assert (wanted.settings.input, wanted.settings.sound) == ("masked", True)
