"""What was done in a session, over HTTP: told for reading, in stretches, to those who may export."""

import itertools
from typing import Any

import pytest
from django.utils import timezone

from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import account, reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Desired, State, Status
from lucid_sessions.recordings.models import Chunk, Session
from recorder.lines import line
from recorder.names import ClosedMarker, GapMarker, SegmentName, sequence_of
from tests import factories

from .people import client_of, person

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = factories.SEGMENT_US
SHELL = {"id": 7, "title": "shell", "class": "XTerm"}
LOCKER = {"id": 8, "title": "Unlock", "class": "i3lock", "secret": True}


def beside(session: Session, world: Installation, *, counter: int, content: bytes, at: int = 0) -> None:
    """One segment of what was done, in the session's second `at`: by itself, the one of its counter."""
    start = (at or counter - 1) * SECOND
    name = SegmentName(
        session.pk, "input", sequence_of(1, counter), 1, start, start + SECOND, 1_700_000_000_000, "jsonl"
    )
    part = world.spool.make_take(session.pk, 1) / name.part_filename
    part.write_bytes(content)
    world.spool.commit(part, name)


def written(second: int, *facts: tuple[int, dict[str, Any]]) -> bytes:
    """A segment of a second as the recorder writes it; its first window is a shell."""
    begin = {"k": "begin", "v": 1, "keys": "masked", "hears": "display", "window": SHELL}
    start = second * SECOND
    body = b"".join(line(start + at, **fact) for at, fact in facts)
    return line(start, **begin) + body + line(start + SECOND, k="end", counts={})


def key(name: str, *, down: bool = True) -> dict[str, Any]:
    return {"k": "key", "down": down, "key": name}


def made(world: Installation, *segments: bytes, ended: bool = True) -> Session:
    """An archived session of a display with these segments of what was done, a second each."""
    session = factories.ready("x11://:0", name="a display")
    Session.objects.filter(pk=session.pk).update(status=Status.RECORDING, desired=Desired.RECORD)
    factories.take(session, world)
    for counter, content in enumerate(segments, start=1):
        factories.acknowledge(session, world, counter=counter)
        beside(session, world, counter=counter, content=content)
    if ended:
        world.spool.write_closed(
            ClosedMarker(session.pk, "input", 1, len(segments), len(segments) * SECOND, "stopped")
        )
        factories.close(session, world, last_counter=len(segments))
    factories.file_spool(world)
    if ended:
        factories.end(session)
    reconcile.work_inline(world)
    session.refresh_from_db()
    return session


@pytest.fixture
def session(world: Installation) -> Session:
    """Three seconds: somebody types, runs it, locks the screen, clicks, copies."""
    return made(
        world,
        written(0, (100, key("•")), (200, key("•", down=False)), (300, {"k": "move", "x": 1, "y": 2})),
        written(1, (100, key("•")), (200, key("Return")), (300, {"k": "window", **LOCKER})),
        written(
            2,
            (100, {"k": "button", "down": True, "button": 1, "x": 3, "y": 4}),
            (200, {"k": "clip", "text": True, "length": 5, "sha256": "ab" * 32}),
        ),
    )


def answer_of(client: Any, session: Session, query: str = "") -> Any:
    return client.get(f"/api/v1/sessions/{session.pk}/input{query}")


def told(client: Any, session: Session, query: str = "") -> dict[str, Any]:
    answer = answer_of(client, session, query)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_what_was_done_is_told_for_reading(session: Session) -> None:
    client = client_of(person("auditor"))
    assert "no-store" in answer_of(client, session).headers.get("Cache-Control", "")
    body = told(client, session)
    about = {name: body[name] for name in ("from_us", "to_us", "next_from_us", "growing", "hears", "keys")}
    assert about == {
        "from_us": 0,
        "to_us": 3 * SECOND,
        "next_from_us": None,
        "growing": False,
        "hears": "display",
        "keys": "masked",
    }
    assert body["window"] == {**SHELL, "secret": False}
    # A text goes on from one segment into the next.
    typed, entered, locked, clicked, copied = body["entries"]
    assert typed == {"kind": "typed", "from_us": 100, "to_us": SECOND + 100, "text": "••", "count": 2}
    assert (entered["kind"], entered["key"], entered["from_us"]) == ("key", "Return", SECOND + 200)
    assert (locked["kind"], locked["title"], locked["class"], locked["secret"]) == (
        *("window", "Unlock", "i3lock"),
        True,
    )
    assert (clicked["button"], clicked["x"], clicked["y"]) == ("left", 3, 4)
    assert (copied["length"], copied["sha256"]) == (5, "ab" * 32)


def test_a_part_is_told_with_the_window_that_it_begins_in(session: Session) -> None:
    body = told(client_of(person("auditor")), session, f"?from_us={SECOND + 400}&to_us={2 * SECOND + 200}")
    assert body["window"] == {**LOCKER}
    assert [one["kind"] for one in body["entries"]] == ["click"]
    assert (body["to_us"], body["next_from_us"]) == (2 * SECOND + 200, None)


def test_a_long_session_comes_in_stretches_and_nothing_is_lost(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(person("auditor"))
    whole = told(client, session)["entries"]
    monkeypatch.setattr(account, "MOST_CHUNKS", 1)
    found: list[Any] = []
    begins: list[int] = []
    at: int | None = 0
    while at is not None:
        body = told(client, session, f"?from_us={at}")
        found += body["entries"]
        begins.append(body["from_us"])
        at = body["next_from_us"]
    assert begins == [0, SECOND, 2 * SECOND]
    assert [one["kind"] for one in found] == ["typed", *(one["kind"] for one in whole)]


def test_a_stretch_ends_where_it_would_take_too_much_time_or_room(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count(step=0.75 * account.MOST_SECONDS)
    slow = account.account(session, clock=lambda: next(ticks))
    assert (slow.to_us, slow.next_from_us) == (2 * SECOND, 2 * SECOND)
    monkeypatch.setattr(account, "MOST_BYTES", 10)
    assert account.account(session).next_from_us == SECOND


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"from_us={number}", "from_us") for number in ("", "-1", "x", "%205", "5.0", "1_0", str(2**63))),
        ("to_us=", "to_us"),
        ("to_us=1&to_us=2", "to_us"),
        ("form_us=1", "form_us"),
    ],
)
def test_what_is_no_part_of_a_session_is_refused_and_named(session: Session, query: str, field: str) -> None:
    answer = answer_of(client_of(person("auditor")), session, f"?{query}")
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


def test_a_viewer_who_plays_is_not_given_the_keystrokes(session: Session) -> None:
    viewer = person("session_viewer")
    Session.objects.filter(pk=session.pk).update(owner=viewer)
    client = client_of(viewer)
    assert client.get(f"/api/v1/sessions/{session.pk}/filmstrip").status_code == 200
    answer = answer_of(client, session)
    assert (answer.status_code, answer.json()["code"]) == (403, "LUCID_ERR_1002")
    seen = AuditEvent.objects.filter(action="session.input-read").values_list("outcome", "username")
    assert list(seen) == [("denied", viewer.username)]


def test_reading_is_a_deed_of_its_own_once_a_look_with_its_reason(session: Session, settings: Any) -> None:
    settings.LUCID_REASON_REQUIRED = ["session.input-read"]
    client = client_of(person("auditor"))
    assert client.get(f"/api/v1/sessions/{session.pk}/filmstrip").status_code == 200
    assert answer_of(client, session).status_code == 400
    for start in (0, SECOND):
        assert answer_of(client, session, f"?from_us={start}&reason=case%207").status_code == 200
    rows = AuditEvent.objects.filter(action="session.input-read").order_by("at_us")
    assert list(rows.values_list("outcome", "why", "session")) == [
        ("refused", "", str(session.pk)),
        ("done", "case 7", str(session.pk)),
    ]


def test_what_cannot_be_told_says_so_in_its_place(session: Session, world: Installation) -> None:
    first, second, third = Chunk.objects.filter(session=session, track="input").order_by("sequence")
    Chunk.objects.filter(pk=first.pk).update(quarantined_at=timezone.now(), reason="scrub: gone")
    Chunk.objects.filter(pk=second.pk).update(state=State.EXPIRED)
    path = next(world.blobs_root.rglob(third.blob))
    blob = bytearray(path.read_bytes())
    blob[-100] ^= 1
    path.chmod(0o600)
    path.write_bytes(blob)
    body = told(client_of(person("auditor")), session)
    assert [(one["kind"], one["state"], one["from_us"], one["chunk"]) for one in body["entries"]] == [
        ("unread", "quarantined", 0, str(first.pk)),
        ("unread", "shredded", SECOND, str(second.pk)),
        ("unread", "damaged", 2 * SECOND, str(third.pk)),
    ]
    assert "hash" in body["entries"][2]["reason"]
    assert (body["window"], body["hears"]) == (None, None)


def test_lines_that_no_sound_recorder_writes_cost_themselves_only(world: Installation) -> None:
    faulty = [
        {"k": "key", "down": True, "key": 5},
        {"k": "key", "down": "yes", "key": "b"},
        {"k": "button", "down": True, "button": "left"},
        {"k": "key", "down": True},
    ]
    lines = [(200 + number, fact) for number, fact in enumerate(faulty)]
    half = b'{"t":1000300,"k":"key","down":true,"key":"\\ud800"}\n'
    session = made(
        world,
        written(0, (100, key("a"))),
        written(1, (100, key("b")), *lines, (290, key("c"))) + half + line(SECOND + 400, **key("d")),
        written(2, (100, {"k": "begin", "window": "shell"}), (200, key("e"))),
    )
    second, third = Chunk.objects.filter(session=session, track="input").order_by("sequence")[1:]
    body = told(client_of(person("auditor")), session)
    assert [(one["kind"], one.get("text"), one["from_us"]) for one in body["entries"]] == [
        ("typed", "ab", 100),
        ("unread", None, SECOND + 200),
        ("typed", "c", SECOND + 290),
        ("unread", None, SECOND + 300),
        ("typed", "d", SECOND + 400),
        ("unread", None, 2 * SECOND + 100),
        ("typed", "e", 2 * SECOND + 200),
    ]
    unread = [one for one in body["entries"] if one["kind"] == "unread"]
    assert [(one["state"], one["chunk"]) for one in unread] == [
        ("malformed", str(chunk.pk)) for chunk in (second, second, third)
    ]
    assert unread[0]["reason"] == "Line 3 is a key with a faulty key (and 3 more cannot be told)."
    assert unread[2]["reason"] == "Line 2 is a begin with a faulty window."


def test_what_is_deleted_and_what_there_is_no_password_for_is_refused(
    session: Session, settings: Any
) -> None:
    client = client_of(person("auditor"))
    Session.objects.filter(pk=session.pk).update(status=Status.EXPIRING)
    answer = answer_of(client, session)
    assert (answer.status_code, answer.json()["code"]) == (409, "LUCID_ERR_3009")
    assert "shredded" in answer.json()["detail"]


def test_gaps_of_the_track_are_told_and_end_a_text(world: Installation) -> None:
    session = factories.ready("x11://:0", name="a display")
    Session.objects.filter(pk=session.pk).update(status=Status.RECORDING, desired=Desired.RECORD)
    factories.take(session, world)
    beside(session, world, counter=1, content=written(0, (100, key("a"))))
    beside(session, world, counter=2, content=written(2, (100, key("b"))), at=2)
    world.spool.write_gap(GapMarker(session.pk, "input", 1, 1, SECOND, 2 * SECOND, "paused"))
    factories.file_spool(world)
    reconcile.work_inline(world)
    entries = told(client_of(person("auditor")), session)["entries"]
    assert [(one["kind"], one["from_us"], one["to_us"]) for one in entries] == [
        ("typed", 100, 100),
        ("gap", SECOND, 2 * SECOND),
        ("typed", 2 * SECOND + 100, 2 * SECOND + 100),
    ]
    assert entries[1]["reason"] == "paused"


def test_of_a_running_session_what_is_on_its_way_is_told_again_later(world: Installation) -> None:
    session = made(world, written(0, (100, key("a"))), ended=False)
    beside(session, world, counter=2, content=written(1, (100, key("b"))))
    factories.file_spool(world)
    client = client_of(person("auditor"))
    body = told(client, session)
    assert [one["kind"] for one in body["entries"]] == ["typed", "unread"]
    assert body["entries"][1]["state"] == "pending"
    assert (body["growing"], body["to_us"], body["next_from_us"]) == (True, SECOND, None)
    reconcile.work_inline(world)
    body = told(client, session, f"?from_us={body['to_us']}")
    assert [(one["kind"], one["text"]) for one in body["entries"]] == [("typed", "b")]
    assert body["to_us"] == 2 * SECOND


SHIFT = (900_000, key("Shift"))
CAPITAL = (100, {**key("A"), "with": ["Shift"]}), (200, key("Shift", down=False))


def test_a_modifier_held_where_two_stretches_meet_is_part_of_what_it_is_held_for(
    world: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    menu = key("Super"), key("Super", down=False)
    session = made(
        world,
        written(0, (100, menu[0]), (200, menu[1]), SHIFT, (950_000, {"k": "window", **LOCKER})),
        written(1, *CAPITAL, (300, menu[0]), (400, menu[1]), SHIFT),
        written(2, *CAPITAL[1:]),
    )
    client = client_of(person("auditor"))
    lone = ["Super", "Super", "Shift"]
    # Wherever whoever asks has the stretches meet: the last is held for nothing.
    for middle in (SHIFT[0] + 1, SECOND, SECOND + 50, SECOND + SHIFT[0] + 50):
        halves = [told(client, session, f"?{part}={middle}")["entries"] for part in ("to_us", "from_us")]
        assert [one["key"] for half in halves for one in half if one["kind"] == "key"] == lone, middle
    monkeypatch.setattr(account, "MOST_CHUNKS", 1)
    found: list[Any] = []
    at: int | None = 0
    while at is not None:
        body = told(client, session, f"?from_us={at}")
        found += body["entries"]
        at = body["next_from_us"]
    assert [one["key"] for one in found if one["kind"] == "key"] == lone


def test_of_a_running_session_a_modifier_is_told_once_it_is_known_what_it_is_held_for(
    world: Installation,
) -> None:
    session = made(world, written(0, (100, key("a")), SHIFT), ended=False)
    client = client_of(person("auditor"))

    def known(start: int) -> tuple[list[Any], int]:
        body = told(client, session, f"?from_us={start}")
        return [one.get("text") or one.get("key") for one in body["entries"]], body["to_us"]

    assert known(0) == (["a"], SHIFT[0])
    beside(session, world, counter=2, content=written(1, *CAPITAL))
    factories.file_spool(world)
    assert known(SHIFT[0]) == ([None], SHIFT[0])  # it is on its way, and told of
    reconcile.work_inline(world)
    assert known(SHIFT[0]) == (["A"], 2 * SECOND)
    # Nothing comes any more: then it was held for nothing.
    beside(session, world, counter=3, content=written(2, SHIFT))
    factories.file_spool(world)
    reconcile.work_inline(world)
    held_us = 2 * SECOND + SHIFT[0]
    assert known(2 * SECOND) == ([], held_us)
    assert known(held_us) == ([], held_us)
    Session.objects.filter(pk=session.pk).update(status=Status.PAUSED)
    assert known(held_us) == (["Shift"], 3 * SECOND)


def test_a_session_without_the_track_has_nothing_to_tell(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    reconcile.work_inline(world)
    body = told(client_of(person("auditor")), session)
    assert (body["entries"], body["next_from_us"], body["hears"]) == ([], None, None)
