"""Puts segments through the chain, and waits until they have come to where they are to be."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Q

from lucid_sessions.recordings import hints, intake, sessions
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.lifecycle import State
from lucid_sessions.recordings.models import Checkpoint, Chunk, Session

from . import segments

EVERY_SECONDS = 0.02
# Beyond this something is broken, and waiting longer would hide it.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Filed:
    """A session whose segments have rows and are not announced yet; how long the filing took."""

    session: Session
    chunks: list[Chunk]
    bytes: int
    filing_seconds: float


def new_session() -> Session:
    """A session with its keys that no recorder takes, because nobody has started it."""
    session = sessions.create("synthetic://1280x720", name="benchmark")
    sessions.complete_keys(session)
    return session


def file(sources: Sequence[Path], *, count: int) -> Filed:
    """`count` segments, made of `sources` in turn, committed to the spool and filed; no worker knows."""
    session, world = new_session(), installation()
    contents = [source.read_bytes() for source in sources]
    for counter in range(1, count + 1):
        content = contents[counter % len(contents)]
        segments.commit(world.spool, session.pk, counter=counter, source=content)
    publisher = hints.publisher()
    hints.register(None)
    began = time.perf_counter()
    chunks = intake.Intake(world.spool).scan()
    seconds = time.perf_counter() - began
    hints.register(publisher)
    return Filed(session, chunks, sum(chunk.raw_length for chunk in chunks), seconds)


def stored(session: Session) -> bool:
    """True when nothing of the session waits before the sealer."""
    return not _waiting(session, Q(state__in=(State.STORED, State.ANCHORED)))


def anchored(session: Session) -> bool:
    """True when every chunk's record lies below a signed checkpoint."""
    newest = Checkpoint.objects.values_list("size", flat=True).first() or 0
    return not _waiting(session, Q(state=State.ANCHORED, record__lt=newest))


def _waiting(session: Session, arrived: Q) -> bool:
    return Chunk.objects.filter(session=session).exclude(arrived).exists()


def seconds_until(arrived: Callable[[Session], bool], filed: Filed) -> float:
    """Announce the chunks, and return how long it took until they have arrived."""
    began = time.perf_counter()
    hints.hint(filed.chunks)
    wait_until(arrived, filed.session)
    return time.perf_counter() - began


def wait_until(arrived: Callable[[Session], bool], session: Session) -> None:
    """Return when the session's chunks have arrived; end the benchmark when they do not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not arrived(session):
        if time.monotonic() > deadline:
            raise SystemExit(f"After {PATIENCE_SECONDS:.0f} s chunks still wait: {standing(session)}")
        time.sleep(EVERY_SECONDS)


def standing(session: Session) -> str:
    """How many chunks are where, and why they wait."""
    rows = Chunk.objects.filter(session=session)
    counts = {state: rows.filter(state=state).count() for state in State}
    reasons = rows.exclude(reason="").values_list("reason", flat=True)[:3]
    return f"{ {state.value: n for state, n in counts.items() if n} } {list(reasons)}"


def tidy() -> None:
    """The spool is empty again: what is anchored leaves it, as it does in service."""
    while intake.release(installation().spool):
        pass
