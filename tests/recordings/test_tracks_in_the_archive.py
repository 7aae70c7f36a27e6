"""Tracks beside the screen go the same way into the archive, each under a key of its own."""

import json

import numpy as np
import pytest

from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import playback, reconcile, verification
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Desired, State, Status
from lucid_sessions.recordings.models import Chunk, Session, SessionKey
from recorder.lines import check_lines, line
from recorder.names import ClosedMarker, SegmentName, sequence_of
from recorder.thumb import read_thumb, webp
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

EXTENSIONS = {"input": "jsonl", "thumb": "webp"}
LINES = line(0, k="begin", v=1, keys="masked") + line(250_000, k="key", down=True, key="•")
LINES += line(factories.SEGMENT_US, k="end", counts={"key": 1})


def session_with(world: Installation, content: bytes, *, track: str = "input") -> Session:
    """A session of a display whose one take has ended: a segment of the screen and one of another track."""
    session = factories.ready("x11://:0", name="a display")
    Session.objects.filter(pk=session.pk).update(status=Status.RECORDING, desired=Desired.RECORD)
    factories.take(session, world)
    factories.acknowledge(session, world, counter=1)
    times = 0, factories.SEGMENT_US, 1_700_000_000_000
    name = SegmentName(session.pk, track, sequence_of(1, 1), 1, *times, EXTENSIONS[track])
    part = world.spool.make_take(session.pk, 1) / name.part_filename
    part.write_bytes(content)
    world.spool.commit(part, name)
    world.spool.write_closed(ClosedMarker(session.pk, track, 1, 1, factories.SEGMENT_US, "stopped"))
    factories.close(session, world, last_counter=1)
    factories.file_spool(world)
    factories.end(session)
    session.refresh_from_db()
    return session


def test_input_is_archived_and_opened_with_its_own_key_only(world: Installation) -> None:
    session = session_with(world, LINES)
    reconcile.work_inline(world)
    session.refresh_from_db()
    assert session.status == Status.COMPLETED
    assert verification.verify(session, deep=True).findings == []
    typed, screen = (Chunk.objects.get(session=session, track=track) for track in ("input", "screen"))
    lines = playback.segment(typed)
    assert check_lines(lines, start_us=typed.start_us, end_us=typed.end_us) == 3
    assert [json.loads(one)["k"] for one in lines.splitlines()] == ["begin", "key", "end"]
    publics = SessionKey.objects.filter(session=session).values_list("public", flat=True)
    assert len(set(publics)) == len(publics) >= 2
    key_of_the_screen = playback.session_identity(session.pk, "screen", world=world)
    assert playback.open_chunk(screen, world=world, key=key_of_the_screen)
    with pytest.raises(LucidError):
        playback.open_chunk(typed, world=world, key=key_of_the_screen)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (LINES[:-5], "not whole"),
        (LINES + b"no fact\n", "is no JSON"),
        (LINES + b"[" * 100_000 + b"\n", "is no JSON"),
        (LINES + b'{"t":1}\n', "no fact with a kind"),
        (LINES + line(factories.SEGMENT_US + 1, k="key"), "outside the segment"),
        (LINES + b'{"t":true,"k":"key"}\n', "outside the segment"),
    ],
)
def test_lines_that_cannot_be_what_their_name_says_are_quarantined(
    world: Installation, content: bytes, problem: str
) -> None:
    session_with(world, content)
    reconcile.work_inline(world)
    chunk = Chunk.objects.get(track="input")
    assert chunk.quarantined_at is not None
    assert problem in chunk.reason
    assert Chunk.objects.get(track="screen").state == State.ANCHORED


def a_thumb() -> bytes:
    """A small picture as the recorder makes it."""
    return webp(np.full((90, 160, 4), 200, dtype=np.uint8), width=64, frames=10, changed=0.25)


def test_a_small_picture_of_each_segment_is_archived_with_its_figures(world: Installation) -> None:
    session = session_with(world, a_thumb(), track="thumb")
    reconcile.work_inline(world)
    assert verification.verify(session, deep=True).findings == []
    thumb = read_thumb(playback.segment(Chunk.objects.get(track="thumb")))
    assert (thumb.width, thumb.height, thumb.frames, thumb.changed) == (64, 36, 10, 0.25)


@pytest.mark.parametrize("content", [b"", b"RIFF", a_thumb()[:-30], a_thumb()[:60] + bytes(500)])
def test_a_small_picture_that_is_none_is_quarantined(world: Installation, content: bytes) -> None:
    session_with(world, content, track="thumb")
    reconcile.work_inline(world)
    chunk = Chunk.objects.get(track="thumb")
    assert chunk.quarantined_at is not None
    assert "cannot be read" in chunk.reason
