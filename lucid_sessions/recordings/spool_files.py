"""Whether a file in the spool can be what its name, or its content, says. Nothing here is believed."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

import structlog

from lucid_sessions.errors import Tampered
from recorder.errors import Unreadable
from recorder.names import ClosedMarker, GapMarker, SegmentName

from .models import Chunk

log = structlog.get_logger(__name__)

# What a row and a record of the ledger can hold, and far more than any recording reaches.
MOST = 2**53 - 1
MOST_EPOCHS = 2**31 - 1
# A sequence number, which has the take above its counter's 32 bits, is below MOST too.
MOST_TAKES = 2**21 - 1
# Segments of one track in one take: seven weeks of 4 s each. A seal names each that is missing.
MOST_SEGMENTS = 2**20
LONGEST_TEXT = 10_000


def adopted_takes(root: Path, session: UUID | None = None) -> Iterator[tuple[UUID, int, Path]]:
    """Takes of lost spools that lie in this one, `<take>.<lost spool>`: session, take, directory.

    Of all sessions, one whose directory cannot be listed hides no other; asked for alone it raises OSError.
    """
    for home in sorted((root / "takes").glob(session.hex if session else "*")):
        try:
            folders = sorted(home.glob("*.*"))
        except OSError as error:
            if session:
                raise
            log.error("adopted takes cannot be listed", directory=str(home), reason=str(error))
            continue
        for folder in folders:
            take, _, spool = folder.name.partition(".")
            with contextlib.suppress(ValueError):
                if take.isdecimal() and spool and int(take) <= MOST_TAKES:
                    yield UUID(hex=home.name), int(take), folder


def problem(path: Path, name: SegmentName, *, session: UUID, take: int) -> str:
    """Why this file cannot be that segment of that take; empty when it can."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return "it is no regular file"
    if (name.session, name.take) != (session, take) or take > MOST_TAKES:
        return "it lies in the directory of another take"
    if not 1 <= name.counter <= MOST_SEGMENTS or name.epoch > MOST_EPOCHS:
        return "its number is out of bounds"
    if not name.start_us <= name.end_us <= MOST or name.wall_ms > MOST:
        return "its times are out of bounds"
    return ""


def segment_of(chunk: Chunk, *, root: Path) -> Path:
    """Where the chunk's segment lies; Tampered when its row, or a link, leads out of its session's takes."""
    path = root / chunk.path
    # A circle of links is left as it is: whoever opens it is told.
    folder = Path(os.path.realpath(root / "takes")) / chunk.session_id.hex
    if not Path(os.path.realpath(path)).is_relative_to(folder):
        raise Tampered(f"{chunk.path!r} does not lie among the segments of session {chunk.session_id}")
    return path


def is_same(path: Path, name: SegmentName, row: Chunk) -> bool:
    """True when the file has the times and the length of the segment that the row was made from."""
    of_file = name.epoch, name.start_us, name.end_us, name.wall_ms, path.stat().st_size
    return of_file == (row.epoch, row.start_us, row.end_us, row.timestamp_ms, row.raw_length)


def _is_utf8(text: str) -> bool:
    """False with half of a surrogate pair in it, which JSON can spell and no database holds."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_sound(marker: GapMarker | ClosedMarker, path: Path, *, session: UUID, take: int) -> None:
    """Unreadable unless the marker speaks of this take, in numbers and words that can be."""
    facts = asdict(marker)
    kinds = {name: type(value) for name, value in facts.items()}
    numbers = [value for value in facts.values() if type(value) is int]
    texts = [facts["track"], facts["reason"], facts.get("ending", "ended")]
    sound = (
        (marker.session, marker.take, marker.filename) == (session, take, path.name)
        and take <= MOST_TAKES
        and all(kinds[name] is int for name in facts if name.endswith(("_us", "counter", "number", "take")))
        and all(0 <= number <= MOST for number in numbers)
        and all(type(text) is str and len(text) <= LONGEST_TEXT and _is_utf8(text) for text in texts)
        and facts.get("last_counter", 0) <= MOST_SEGMENTS
        and facts.get("number", 0) <= MOST_EPOCHS
        and facts.get("ending", "ended") in ("ended", "failed", "interrupted")
        and kinds.get("uncertain", bool) is bool
    )
    if not sound:
        raise Unreadable(f"{path} says what cannot be of take {take}. Look at it: {str(facts)[:300]}")
