"""A session at a glance over HTTP: what happened when, and verified small pictures for those who may play."""

from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from lucid_sessions.access import audit, tokens
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Desired, Status
from lucid_sessions.recordings.models import Chunk, Session
from recorder.lines import line
from recorder.names import ClosedMarker, SegmentName, sequence_of
from recorder.thumb import read_thumb, webp
from tests import factories

from .people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)

SEGMENTS = 5
SECOND = factories.SEGMENT_US
EXTENSIONS = {"thumb": "webp", "input": "jsonl"}


def beside(session: Session, world: Installation, *, track: str, counter: int, content: bytes) -> None:
    """One segment of another track at the time of the screen's."""
    start = (counter - 1) * SECOND
    times = start, start + SECOND, 1_700_000_000_000 + counter * 1000
    name = SegmentName(session.pk, track, sequence_of(1, counter), 1, *times, EXTENSIONS[track])
    part = world.spool.make_take(session.pk, 1) / name.part_filename
    part.write_bytes(content)
    world.spool.commit(part, name)


def small(counter: int) -> bytes:
    picture = np.full((90, 160, 4), 40 * counter, dtype=np.uint8)
    return webp(picture, width=64, frames=counter, changed=counter / 4)


def typed(counter: int) -> bytes:
    start = (counter - 1) * SECOND
    lines = line(start, k="begin", v=1, keys="masked")
    for number in range(counter):
        lines += line(start + number, k="key", down=True, key="•") + line(
            start + number, k="key", down=False, key="•"
        )
    return lines + line(start + SECOND, k="move", x=1, y=2) + line(start + SECOND, k="end", counts={})


def recorded(world: Installation) -> Session:
    """Five seconds of a display, with small pictures and keys, of which nothing is archived yet."""
    made = factories.ready("x11://:0", name="a display")
    Session.objects.filter(pk=made.pk).update(status=Status.RECORDING, desired=Desired.RECORD)
    factories.take(made, world)
    for counter in range(1, SEGMENTS + 1):
        factories.acknowledge(made, world, counter=counter)
        beside(made, world, track="thumb", counter=counter, content=small(counter))
        beside(made, world, track="input", counter=counter, content=typed(counter))
    for track in ("thumb", "input"):
        world.spool.write_closed(ClosedMarker(made.pk, track, 1, SEGMENTS, SEGMENTS * SECOND, "stopped"))
    factories.close(made, world, last_counter=SEGMENTS)
    factories.file_spool(world)
    factories.end(made)
    return made


@pytest.fixture
def session(world: Installation) -> Session:
    """The same, archived."""
    made = recorded(world)
    reconcile.work_inline(world)
    made.refresh_from_db()
    return made


def frames_of(client: Any, session: Session, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/sessions/{session.pk}/filmstrip{query}")
    assert answer.status_code == 200, answer.content
    frames: list[dict[str, Any]] = answer.json()["frames"]
    return frames


def test_the_filmstrip_says_for_each_segment_how_much_happened(session: Session) -> None:
    frames = frames_of(client_of(person("auditor")), session)
    assert [one["from_us"] for one in frames] == [number * SECOND for number in range(SEGMENTS)]
    assert [one["changed"] for one in frames] == [0.25, 0.5, 0.75, 1.0, 1.25]
    assert [one["pressed"] for one in frames] == [1, 2, 3, 4, 5]
    assert [one["pictures"] for one in frames] == [1, 2, 3, 4, 5]
    assert all(one["poster"].endswith(".webp") for one in frames)


def test_a_long_session_is_told_in_few_frames_and_a_part_of_it_finely(session: Session) -> None:
    client = client_of(person("auditor"))
    two = frames_of(client, session, "?most=2")
    assert [(one["from_us"], one["to_us"], one["segments"]) for one in two] == [
        (0, 3 * SECOND, 3),
        (3 * SECOND, 5 * SECOND, 2),
    ]
    assert [(one["changed"], one["pressed"]) for one in two] == [(1.5, 6), (2.25, 9)]
    part = frames_of(client, session, f"?from_us={SECOND}&to_us={3 * SECOND}")
    assert [one["from_us"] for one in part] == [SECOND, 2 * SECOND]


@pytest.mark.parametrize("number", ["", "0", "1001", "x", "%205", "%2B5", "5.0", "1_0", "%D9%A5"])
def test_what_is_no_number_within_bounds_is_refused_and_named(session: Session, number: str) -> None:
    answer = client_of(person("auditor")).get(f"/api/v1/sessions/{session.pk}/filmstrip?most={number}")
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == ["most"]


def test_a_poster_is_what_was_recorded_and_looking_at_it_is_audited(
    session: Session, live_server: Any
) -> None:
    auditor = person("auditor")
    poster = frames_of(client_of(auditor), session)[2]["poster"]
    AuditEvent.objects.all().delete()
    audit.forget_looks()
    bearer = {"Authorization": f"Bearer {tokens.sign_in(auditor).access}"}
    connection = HTTPConnection(urlsplit(live_server.url).netloc)
    connection.request("GET", poster, headers=bearer)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
    assert "no-store" in answer.headers["Cache-Control"]
    content = answer.read()
    assert content == small(3)
    assert read_thumb(content).width == 64
    connection.request("GET", poster)
    assert connection.getresponse().status == 401
    connection.close()
    seen = AuditEvent.objects.order_by("at_us").values_list("action", "outcome", "username", "item")
    pk = poster.rpartition("/")[2].removesuffix(".webp")
    assert list(seen) == [
        ("session.played", "done", auditor.username, pk),
        ("session.played", "denied", "", pk),
    ]


def test_who_may_not_play_sees_no_posters_and_others_sessions_have_none(session: Session) -> None:
    poster = frames_of(client_of(person("auditor")), session)[0]["poster"]
    operator = person("session_operator")
    Session.objects.filter(pk=session.pk).update(owner=operator)
    for address in (poster, f"/api/v1/sessions/{session.pk}/filmstrip"):
        assert client_of(operator).get(address).status_code == 403
        assert client_of(person("session_viewer", name=address[-9:])).get(address).status_code == 404


def test_a_changed_small_picture_is_an_alarm_and_is_not_sent(session: Session, world: Installation) -> None:
    chunk = Chunk.objects.get(session=session, track="thumb", sequence=sequence_of(1, 2))
    path = next(world.blobs_root.rglob(chunk.blob))
    blob = bytearray(path.read_bytes())
    blob[-100] ^= 1
    path.chmod(0o600)
    path.write_bytes(blob)
    client = client_of(person("auditor"))
    answer = client.get(frames_of(client, session)[1]["poster"])
    assert (answer.status_code, answer.json()["code"]) == (500, "LUCID_ERR_3009")


def test_only_small_pictures_are_posters(session: Session) -> None:
    screen = Chunk.objects.filter(session=session, track="screen")[0]
    answer = client_of(person("auditor")).get(f"/api/v1/sessions/{session.pk}/posters/{screen.pk}.webp")
    assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3009")
