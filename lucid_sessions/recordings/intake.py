"""From the spool to the database: every acknowledged file becomes a row, once, whoever looks first.

The spool is the outbox: a file counts from its rename on, and stays until its chunk's record lies below
a stored checkpoint. Scanning again changes nothing, so this is also the recovery after any outage.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import structlog
from django.db import IntegrityError

from lucid_sessions.durable import make_directory, sync_directory
from recorder.errors import Unreadable
from recorder.names import ClosedMarker, GapMarker
from recorder.spool import SegmentName, Spool

from . import hints
from .lifecycle import State
from .models import Checkpoint, Chunk, Closure, Gap, Session
from .tombstones import GONE, bury, is_gone

log = structlog.get_logger(__name__)


@dataclass
class Intake:
    """Scans one spool; remembers what it has filed, so that a quiet spool costs a directory listing."""

    spool: Spool
    _filed: dict[Path, set[str]] = field(default_factory=dict)

    def scan(self) -> list[Chunk]:
        """The chunks that were new; their workers have been told."""
        new: list[Chunk] = []
        for session, _take, directory in list(self.spool.takes()):
            known = self._filed.setdefault(directory, set())
            # Read before the segments, filed after them: a closed track then has all its rows.
            markers = self._markers(directory)
            new += self._file_segments(session, directory, known)
            self._file_markers(markers, known)
        hints.hint(new)
        return new

    def _file_segments(self, session: UUID, directory: Path, known: set[str]) -> list[Chunk]:
        fresh = [(path, name) for path, name in self.spool.segments(directory) if path.name not in known]
        if not fresh:
            return []
        status = Session.objects.filter(pk=session).values_list("status", flat=True).first()
        if status is None:
            # Never delete a file because its row is missing: the database may be the older of the two.
            log.error("segments of an unknown session", session=str(session), directory=str(directory))
            return []
        if status in GONE:
            self._discard(session, directory, fresh)
            return []
        rows = _rows_at(session, [name for _, name in fresh])
        new = [
            chunk
            for path, name in fresh
            if (chunk := self._file(path, name, rows.get((name.track, name.sequence))))
        ]
        if new and is_gone(session):
            # It expired while these were filed: expiry may have looked for chunks before they were there.
            self._discard(session, directory, fresh)
            return []
        known.update(path.name for path, _ in fresh)
        return new

    def _file(self, path: Path, name: SegmentName, row: Chunk | None) -> Chunk | None:
        place = str(path.relative_to(self.spool.root))
        if row is None:
            try:
                return Chunk.objects.create(
                    session_id=name.session,
                    track=name.track,
                    sequence=name.sequence,
                    epoch=name.epoch,
                    start_us=name.start_us,
                    end_us=name.end_us,
                    timestamp_ms=name.wall_ms,
                    spool=self.spool.identity,
                    path=place,
                    raw_length=path.stat().st_size,
                )
            except IntegrityError:
                row = _rows_at(name.session, [name])[name.track, name.sequence]
        if (row.spool, row.path or place) != (self.spool.identity, place):
            self._set_aside(path, row)
        elif not row.path:
            # Released once already: a power cut brought the file back.
            path.unlink(missing_ok=True)
        return None

    def _set_aside(self, path: Path, row: Chunk) -> None:
        """Two files claim one place: this one is kept where it is out of the way, for a person to look at."""
        aside = self.spool.root / "quarantine"
        make_directory(aside)
        path.rename(aside / path.name)
        sync_directory(aside)
        log.error("a second file for one place", file=path.name, chunk=str(row.pk), other_spool=row.spool)

    def _discard(self, session: UUID, directory: Path, fresh: Iterable[tuple[Path, SegmentName]]) -> None:
        # Rows first: a file that is still there brings us back to them after a crash.
        bury(session)
        for path, _ in fresh:
            path.unlink(missing_ok=True)
        sync_directory(directory)

    def _markers(self, directory: Path) -> list[GapMarker | ClosedMarker]:
        try:
            return [*self.spool.gaps(directory), *self.spool.closed(directory).values()]
        except Unreadable as error:
            log.error("unreadable marker", error=str(error))
            return []

    def _file_markers(self, markers: list[GapMarker | ClosedMarker], known: set[str]) -> None:
        for marker in markers:
            if marker.filename in known or not Session.objects.filter(pk=marker.session).exists():
                continue
            if isinstance(marker, GapMarker):
                _gap(marker)
            else:
                _closure(marker)
            known.add(marker.filename)


def _rows_at(session: UUID, names: Iterable[SegmentName]) -> dict[tuple[str, int], Chunk]:
    wanted = list(names)
    rows = Chunk.objects.filter(
        session=session,
        track__in={name.track for name in wanted},
        sequence__in={name.sequence for name in wanted},
    )
    return {(row.track, row.sequence): row for row in rows}


def _gap(marker: GapMarker) -> None:
    Gap.objects.get_or_create(
        session_id=marker.session,
        track=marker.track,
        take=marker.take,
        number=marker.number,
        defaults={
            "from_us": marker.from_us,
            "to_us": marker.to_us,
            "reason": marker.reason,
            "uncertain": marker.uncertain,
        },
    )


def _closure(marker: ClosedMarker) -> None:
    Closure.objects.get_or_create(
        session_id=marker.session,
        take=marker.take,
        track=marker.track,
        defaults={
            "last_counter": marker.last_counter,
            "end_us": marker.end_us,
            "ending": marker.ending,
            "reason": marker.reason,
        },
    )


def release(spool: Spool, *, limit: int = 1000) -> int:
    """How many segments left the spool, their chunks' records lying below a stored checkpoint."""
    newest = Checkpoint.objects.values_list("size", flat=True).first()
    if newest is None:
        return 0
    mine = Chunk.objects.filter(spool=spool.identity, state=State.ANCHORED, path__gt="", record__lt=newest)
    gone = list(mine.values_list("pk", "path")[:limit])
    for _, path in gone:
        (spool.root / path).unlink(missing_ok=True)
    # The row is told last: a crash before it only means another unlink of a file that is not there.
    Chunk.objects.filter(pk__in=[pk for pk, _ in gone]).update(path="")
    return len(gone)
