"""After a crash: whole fragments of what was open become segments, and the take is closed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from recorder import durable, mp4
from recorder.clock import us_of
from recorder.errors import Unreadable
from recorder.names import ClosedMarker, SegmentName
from recorder.spool import Spool
from recorder.take import Progress, Stamp, lock_take

log = logging.getLogger("recorder")


def unclosed(spool: Spool) -> Iterator[tuple[UUID, int]]:
    """Takes whose recorder did not close each of their tracks: still being recorded, or dead.

    One whose files cannot be read keeps no supervisor from starting; the next one looks again.
    """
    for session, take, directory in list(spool.takes()):
        try:
            is_open = _last(spool, directory).keys() - spool.closed(directory) or spool.parts(directory)
        except (OSError, Unreadable) as error:
            log.error("take %s of session %s in the spool cannot be read: %s", take, session, error)
            continue
        if is_open:
            yield session, take


def recover(spool: Spool, session: UUID, *, take: int, reason: str) -> ClosedMarker:
    """Make a dead take complete and say how it stands; a take that is closed already stays as it is.

    `SpoolBusy` while its recorder still lives. Doing it twice, or half of it and then all, gives the same.
    """
    directory = spool.make_take(session, take)
    with lock_take(directory):
        stamp = Stamp.read(directory)
        for part in spool.parts(directory):
            if stamp is not None and stamp.timed_by == "medium":
                part.unlink()  # the file is still there, and the next take begins at the last key frame kept
            else:
                _recover_part(spool, part)
        return _close(spool, session, take=take, reason=reason)


def _recover_part(spool: Spool, part: Path) -> None:
    """Cut a segment in progress to its last whole fragment and commit it; nothing whole: remove it."""
    try:
        name = SegmentName.parse_part(part.name)
    except ValueError:
        return
    whole = (_whole_lines if name.extension == "jsonl" else _whole_fragments)(part.read_bytes())
    if whole is None:
        part.unlink()
        durable.sync_directory(part.parent)
        return
    length, end_us = whole
    with part.open("r+b") as file:
        file.truncate(length)
    spool.commit(part, replace(name, end_us=max(end_us, name.start_us + 1)))


def _whole_fragments(content: bytes) -> tuple[int, int] | None:
    """The length of what is whole, and the time where it ends; None when nothing is."""
    scale = mp4.timescale(content)
    whole = list(mp4.fragments(content)) if scale else []
    return (whole[-1].end, us_of(whole[-1].until, scale)) if whole else None


def _whole_lines(content: bytes) -> tuple[int, int] | None:
    """The same for lines of JSON that each say their time."""
    length = content.rfind(b"\n") + 1
    try:
        return length, max(json.loads(line)["t"] for line in content[:length].splitlines())
    except (ValueError, KeyError, TypeError):
        return None


def _close(spool: Spool, session: UUID, *, take: int, reason: str) -> ClosedMarker:
    directory = spool.take_directory(session, take)
    last, closed = _last(spool, directory), spool.closed(directory)
    # Each by itself: a picture for the list may be committed just before the segment that it belongs to, and
    # the gap in the screen's track begins where the screen's own segments end.
    for track, progress in last.items():
        if track not in closed:
            place = session, track, take, progress.counter
            closed[track] = ClosedMarker(*place, progress.end_us, reason, "interrupted")
            spool.write_closed(closed[track])
    return closed["screen"]


def _last(spool: Spool, directory: Path) -> dict[str, Progress]:
    """The last segment of each track, also when the archive has it already and its file is gone."""
    last = {"screen": Progress(0, 0)} | Progress.read_all(directory)
    for _, name in spool.segments(directory, held=True):
        known = last.get(name.track, Progress(0, 0))
        last[name.track] = max(known, Progress(name.counter, name.end_us))
    return last
