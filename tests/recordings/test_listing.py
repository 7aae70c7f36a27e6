"""A playlist that goes on is read from where it was settled, and is never another than one read anew."""

import random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lucid_sessions.recordings import listing
from lucid_sessions.recordings.lifecycle import State, Status
from lucid_sessions.recordings.models import Checkpoint, Chunk, Session

pytestmark = pytest.mark.django_db

SECOND = 1_000_000


@pytest.fixture
def session() -> Session:
    listing._kept.clear()
    Checkpoint.objects.create(size=1000, root="00", note="x")
    return Session.objects.create(name="on", source="synthetic://1x1", status=Status.RECORDING)


def add(session: Session, number: int, *, state: str = State.ANCHORED, record: int | None = 1) -> Chunk:
    times = {
        "start_us": number * SECOND,
        "end_us": (number + 1) * SECOND,
        "timestamp_ms": number,
        "raw_length": 9,
    }
    return Chunk.objects.create(
        session=session, track="screen", sequence=number, epoch=1, state=state, record=record, **times
    )


def anew(session: Session) -> list[listing.Piece]:
    """The list, by one who remembers nothing."""
    kept = dict(listing._kept)
    listing._kept.clear()
    found = listing.listed(session)
    listing._kept.clear()
    listing._kept.update(kept)
    return found


def something_happens(session: Session, chance: random.Random) -> None:
    """One of all that can become of a session's chunks."""
    chunks = Chunk.objects.filter(session=session)
    numbers = [chunk.sequence for chunk in chunks]
    some = chunks.filter(sequence=chance.choice(numbers)) if numbers else chunks
    late = [number for number in range(max(numbers, default=0)) if number not in numbers]
    match chance.randrange(9):
        case 0 | 1 | 2:
            state = chance.choice([State.ANCHORED, State.ANCHORED, State.ANCHORED, State.STORED])
            step = chance.choice([1, 1, 1, 2])
            add(session, max(numbers, default=0) + step, state=state, record=chance.choice([1, 1, 1, 2000]))
        case 3 if late:
            add(session, chance.choice(late), state=chance.choice([State.ANCHORED, State.RECORDED]))
        case 4:
            some.update(quarantined_at=timezone.now())
        case 5:
            some.update(quarantined_at=None, state=State.ANCHORED)
        case 6:
            some.update(state=chance.choice([State.EXPIRED, State.CAPTURED]))
        case 7:
            size = Checkpoint.objects.latest("size").size + chance.choice([1, 1000])
            Checkpoint.objects.create(size=size, root="00", note="x")
        case _:
            chunks.filter(quarantined_at__isnull=False).update(quarantined_at=None)
            chunks.exclude(state=State.ANCHORED).update(state=State.ANCHORED)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_it_is_as_if_it_were_read_anew(session: Session, seed: int) -> None:
    chance, settled = random.Random(seed), 0
    for _ in range(80):
        something_happens(session, chance)
        assert listing.listed(session) == anew(session)
        settled += bool(listing._kept.get((session.pk, "screen")))
    assert settled > 20, "or this shows nothing"
    Session.objects.update(status=Status.COMPLETED)
    session.refresh_from_db()
    assert listing.listed(session) == anew(session)
    assert listing._kept == {}


@pytest.mark.sqlite_only("it looks at SQL")
def test_of_what_is_settled_no_row_is_read_again(session: Session) -> None:
    for number in range(50):
        add(session, number)
    listing.listed(session)
    add(session, 50)
    with CaptureQueriesContext(connection) as asked:
        assert len(listing.listed(session)) == 51
    reads = [query["sql"] for query in asked if "COUNT" not in query["sql"] and "chunk" in query["sql"]]
    assert len(asked) == 4
    assert len(reads) == 1
    assert '"sequence" > 49' in reads[0]


def test_what_is_kept_is_bounded(session: Session, monkeypatch: Any) -> None:
    monkeypatch.setattr(listing, "MOST_KEPT", 5)
    other = Session.objects.create(name="other", source="synthetic://1x1", status=Status.RECORDING)
    for number in range(3):
        add(session, number)
        add(other, number)
    for one in (session, other):
        assert len(listing.listed(one)) == 3
    assert list(listing._kept) == [(other.pk, "screen")]
    assert len(listing.listed(session)) == 3
