"""A chunk that cannot be played keeps its place in the playlist, as a gap, and hides no other."""

import re
from pathlib import Path

import pytest

from lucid_sessions.errors import Refused, Tampered
from lucid_sessions.recordings import playback, playlists, reconcile, requeue, scrub
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from tests import factories
from tests.recordings import archived

pytestmark = pytest.mark.django_db(transaction=True)


def number_of(chunk: Chunk) -> str:
    return f"{chunk.sequence & 0xFFFFFFFF}.mp4"


def listed(session: Session) -> list[str]:
    """What the screen's playlist says, in short: gaps, cuts and segments."""
    text = playback.playlist(session, address=number_of)
    return re.findall(r"^(?:#EXT-X-)?(GAP|DISCONTINUITY|\d+\.mp4)$", text, re.MULTILINE)


def rot(chunk: Chunk, world: Installation) -> bytes:
    """The stored blob is another, and scrub has found that out; what it was."""
    path = next(world.blobs_root.rglob(chunk.blob))
    right = path.read_bytes()
    path.write_bytes(b"rotten")
    list(scrub.run(world))
    return right


def running(world: Installation) -> tuple[Session, Path]:
    """A session that is being recorded, with three chunks, and where the second's lost segment was."""
    session = factories.recorded_session(world, segments=3)
    Session.objects.filter(pk=session.pk).update(status=Status.RECORDING)
    session.refresh_from_db()
    place = world.spool_root / Chunk.objects.order_by("sequence")[1].path
    place.rename(place.with_name("lost"))
    reconcile.work_inline(world)
    return session, place


def test_of_a_session_that_ended_a_rotten_chunk_is_a_gap_and_the_rest_is_played(world: Installation) -> None:
    session = archived.sealed(world, segments=3)
    chunk = Chunk.objects.order_by("sequence")[1]
    before = playback.version_of(session)
    right = rot(chunk, world)
    assert listed(session) == ["1.mp4", "GAP", "2.mp4", "3.mp4"]
    assert playback.version_of(session) != before
    next(world.blobs_root.rglob(chunk.blob)).write_bytes(right)
    list(scrub.run(world))
    assert listed(session) == ["1.mp4", "2.mp4", "3.mp4"]
    assert playback.version_of(session) == before


def test_one_chunk_that_rots_while_another_is_mended_is_another_playlist(world: Installation) -> None:
    session = archived.sealed(world, segments=3)
    first, second, _ = Chunk.objects.order_by("sequence")
    right = rot(first, world)
    before = playback.version_of(session)
    assert listed(session) == ["GAP", "1.mp4", "2.mp4", "3.mp4"]
    next(world.blobs_root.rglob(first.blob)).write_bytes(right)
    rot(second, world)
    assert listed(session) == ["1.mp4", "GAP", "2.mp4", "3.mp4"]
    assert playback.version_of(session) != before


def test_of_a_running_session_the_list_goes_on_behind_a_chunk_that_never_got_there(
    world: Installation,
) -> None:
    session, place = running(world)
    assert listed(session) == ["1.mp4", "GAP", "2.mp4", "3.mp4"]
    before = playback.version_of(session)
    place.with_name("lost").rename(place)
    assert requeue.requeue(session=session.pk) == 1
    # While it is on its way again the list waits for it, as for any other.
    assert listed(session) == ["1.mp4"]
    reconcile.work_inline(world)
    assert listed(session) == ["1.mp4", "2.mp4", "3.mp4"]
    assert playback.version_of(session) != before


def test_a_list_does_not_end_with_a_gap(world: Installation) -> None:
    session = archived.sealed(world, segments=2)
    rot(Chunk.objects.order_by("sequence")[1], world)
    assert listed(session) == ["1.mp4"]


def test_a_session_without_any_chunk_to_play_has_nothing_to_play(world: Installation) -> None:
    session = archived.sealed(world, segments=1)
    rot(Chunk.objects.get(), world)
    with pytest.raises(Refused, match="nothing to play"):
        listed(session)
    with pytest.raises(Refused, match="nothing to play"):
        playlists.multivariant(session, address=str)


def test_an_export_is_never_silently_without_a_rotten_chunk(world: Installation, tmp_path: Path) -> None:
    session = archived.sealed(world, segments=3)
    rot(Chunk.objects.order_by("sequence")[1], world)
    with pytest.raises(Tampered):
        playback.export(session, tmp_path / "out.mp4")
    assert list(tmp_path.glob("*.mp4")) == []
