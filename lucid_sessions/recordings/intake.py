"""From the spool to the database: every acknowledged file becomes a row, once, whoever looks first.

The spool is the outbox: a file counts from its rename on, and stays until its chunk's record lies below
a stored checkpoint. Scanning again changes nothing, so this is also the recovery after any outage. A file
that cannot be what its name says, or that meets a row of another file, moves to the spool's quarantine.
"""

import secrets
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, InterfaceError, OperationalError
from django.db.models import QuerySet

from lucid_sessions.durable import make_directory, sync_directory
from lucid_sessions.errors import Retryable, Tampered
from recorder.errors import Unreadable
from recorder.names import ClosedMarker, GapMarker, read_marker
from recorder.spool import SegmentName, Spool

from . import hints, setbacks, spool_files, tombstones
from .events import CHANGED
from .known_takes import QUIET_SECONDS, KnownTakes
from .lifecycle import ENDED, State
from .markers import Marker, file_marker
from .models import Checkpoint, Chunk, LedgerRecord, Session
from .spool_mirror import SpoolMirror

log = structlog.get_logger(__name__)

RELEASED_AT_ONCE = 1000


@dataclass
class Intake:
    """Scans one spool; remembers what it has filed, so that a quiet take costs one look at its directory."""

    spool: Spool
    # Where second copies are: they go with the segments.
    mirror: SpoolMirror | None = None
    _known: KnownTakes = field(init=False)
    _released: int = 0
    # Of what lies below that: chunks in quarantine.
    _kept: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._known = KnownTakes(self.spool)

    def scan(self, only: UUID | None = None) -> list[Chunk]:
        """The chunks that were new (of one session, or of all); their workers have been told."""
        new: list[Chunk] = []
        takes = self._known.due(only)
        for session, take, directory in takes:
            try:
                if not self._known.at[directory].is_quiet(directory):
                    new += self._file_take(session, take, directory)
            except (OperationalError, InterfaceError, Retryable):
                raise  # no fault of the take: the others would fare no better
            except OSError as error:
                # One take that cannot be read must not hide the others.
                log.warning("take not filed", directory=str(directory), reason=str(error))
            except Exception:
                # Nor one with something in it that nobody foresaw. It is tried again at the next scan.
                log.exception("take not filed", directory=str(directory))
        if only is None:
            self._known.forget(takes)
        else:
            self._known.drop(only)  # who asks for one asks seldom
        hints.hint(new)
        return new

    def wake(self, sessions: set[UUID]) -> None:
        """Something was committed of these: the next scan looks at them, and takes them off the set."""
        self._known.wake(sessions)

    def acknowledge(self) -> None:
        """What is held has its second copy and counts, as far as the store takes it; see `SpoolMirror`."""
        if self.mirror:
            self.mirror.acknowledge(self.spool, but=self._known.resting)

    def _file_take(self, session: UUID, take: int, directory: Path) -> list[Chunk]:
        known = self._known.at[directory]
        looked = time.monotonic()
        # Read before the segments, filed after them: a closed track then has all its rows.
        known.holds = self.mirror is not None and any(self.spool.held(directory))
        markers = self._markers(directory, session, take)
        there = list(self.spool.segments(directory))
        known.filed &= {path.name for path, _ in there} | {marker.filename for marker in markers}
        fresh = [one for one in there if one[0].name not in known.filed]
        markers = [marker for marker in markers if marker.filename not in known.filed]
        new: list[Chunk] = []
        if fresh or markers:
            status = Session.objects.filter(pk=session).values_list("status", flat=True).first()
            if status is None:
                # Never delete a file because its row is missing: the database may be the older of the two.
                if looked - known.since < QUIET_SECONDS:
                    log.error("files of an unknown session are kept", directory=str(directory))
                return []
            if status in tombstones.GONE:
                # Rows first: of one who died between writing them and looking at the session again.
                tombstones.bury(session)
                self._discard(directory, [path for path, _ in fresh])
            else:
                new = self._file_segments(session, take, directory, fresh)
                if new and status in ENDED:
                    # It may be refused, so that no record of it will say that the session grew.
                    Session.objects.filter(pk=session, status__in=ENDED).update(usage_due=True, **CHANGED)
                self._file_markers(markers, known.filed)
        known.quiet = looked - known.since > QUIET_SECONDS
        return new

    def _file_segments(
        self, session: UUID, take: int, directory: Path, fresh: list[tuple[Path, SegmentName]]
    ) -> list[Chunk]:
        sound = []
        for path, name in fresh:
            if problem := spool_files.problem(path, name, session=session, take=take):
                self._set_aside(path, problem)
            else:
                sound.append((path, name))
        rows = _rows_at(session, [name for _, name in sound])
        filed = [self._file(path, name, rows.get((name.track, name.sequence))) for path, name in sound]
        new = [chunk for chunk in filed if chunk]
        if new and tombstones.is_gone(session):
            # It expired while its rows were written.
            tombstones.bury(session)
            self._discard(directory, [path for path, _ in sound])
            return []
        self._known.at[directory].filed.update(path.name for path, _ in sound)
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
        if row.path == place and row.spool == self.spool.identity:
            return None
        if row.path or row.spool != self.spool.identity or not spool_files.is_same(path, name, row):
            self._set_aside(path, f"chunk {row.pk} of spool {row.spool} has its place")
        elif is_safe(row):
            # Released once already: a power cut brought the file back.
            self._discard(path.parent, [path])
        else:
            self._keep(row, place)
        return None

    def _keep(self, row: Chunk, place: str) -> None:
        """The segment was let go of in vain, by who took this host for lost: its row knows of it again."""
        Chunk.objects.filter(pk=row.pk, path="", spool=row.spool).update(path=place)
        if row.record is not None and row.record < self._released:
            self._kept.append(row.pk)

    def _set_aside(self, path: Path, problem: str) -> None:
        """The file is kept where it is out of the way, for a person to look at."""
        aside = self.spool.root / "quarantine"
        make_directory(aside)
        target = aside / path.name
        if target.exists():
            target = aside / f"{path.name}.{secrets.token_hex(4)}"
        path.rename(target)
        sync_directory(aside)
        log.error("set aside", file=path.name, kept_as=str(target), reason=problem)

    def _markers(self, directory: Path, session: UUID, take: int) -> list[Marker]:
        """The take's markers; one that says what cannot be is set aside, and hides no other."""
        found: list[Marker] = []
        kinds: dict[str, Any] = {"gap_*_*.json": GapMarker, "closed_*.json": ClosedMarker}
        for pattern, kind in kinds.items():
            for path in sorted(directory.glob(pattern)):
                try:
                    marker: Marker = read_marker(path, kind)
                    spool_files.require_sound(marker, path, session=session, take=take)
                except Unreadable as error:
                    self._set_aside(path, str(error))
                else:
                    found.append(marker)
        return found

    def _file_markers(self, markers: list[Marker], known: set[str]) -> None:
        for marker in markers:
            file_marker(marker)
            known.add(marker.filename)

    def _discard(self, directory: Path, paths: Iterable[Path]) -> None:
        for path in paths:
            if self.mirror:
                self.mirror.forget_path(self.spool, path)
            if stat.S_ISREG(path.lstat().st_mode):
                path.unlink(missing_ok=True)
        sync_directory(directory)

    def release(self, *, limit: int = RELEASED_AT_ONCE) -> int:
        """How many segments left the spool, their chunks' records lying below a stored checkpoint.

        Only records that are new since the last full look are looked at. What is in quarantine keeps its
        segment, the only whole copy perhaps, until that has ended.
        """
        mine = Chunk.objects.filter(spool=self.spool.identity, state=State.ANCHORED, path__gt="")
        good = mine.filter(quarantined_at__isnull=True).only("pk", "session_id", "path")
        freed = self._let_go(good.filter(pk__in=self._kept)) if self._kept else []
        self._kept = [pk for pk in self._kept if pk not in freed]
        newest = _newest_applied()
        if newest <= self._released:
            return len(freed)
        fresh = {"record__gte": self._released, "record__lt": newest}
        bad = list(mine.filter(**fresh, quarantined_at__isnull=False).values_list("pk", flat=True)[:limit])
        found = good.filter(**fresh)[:limit]
        gone = self._let_go(found)
        if len(found) < limit and len(gone) == len(found) and len(self._kept) + len(bad) < limit:
            self._released = newest
            self._kept += bad
        return len(freed) + len(gone)

    def _let_go(self, chunks: QuerySet[Chunk]) -> list[UUID]:
        """Those of them whose segments are gone now."""
        gone = [chunk.pk for chunk in chunks if self._is_gone(chunk)]
        # The row is told last: a crash before it only means another unlink of a file that is not there.
        Chunk.objects.filter(pk__in=gone).update(path="")
        return gone

    def _is_gone(self, chunk: Chunk) -> bool:
        try:
            path = spool_files.segment_of(chunk, root=self.spool.root)
            if self.mirror:
                self.mirror.forget_path(self.spool, path)
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("segment not released", file=chunk.path, reason=str(error))
            return False
        except (Tampered, ValueError) as error:
            setbacks.record(chunk, stage="release", error=Tampered(str(error)))
            return False
        return True


def _newest_applied() -> int:
    """Every record below this is published, and has had its effect on the rows."""
    published = Checkpoint.objects.values_list("size", flat=True).first() or 0
    # Asked after that: a record is published before its chunks are told of it.
    waits = LedgerRecord.objects.filter(applied=False).order_by("index").values_list("index", flat=True)
    first = waits.first()
    return published if first is None else min(published, first)


def is_safe(chunk: Chunk) -> bool:
    """True when the archive has the chunk for good, so that its segment may go."""
    if chunk.state != State.ANCHORED or chunk.record is None or chunk.quarantined_at:
        return False
    return chunk.record < _newest_applied()


def release(spool: Spool, *, limit: int = RELEASED_AT_ONCE) -> int:
    """How many segments left the spool, by one who remembers nothing of an earlier look."""
    return Intake(spool).release(limit=limit)


def _rows_at(session: UUID, names: Iterable[SegmentName]) -> dict[tuple[str, int], Chunk]:
    wanted = list(names)
    if not wanted:
        return {}
    rows = Chunk.objects.filter(
        session=session,
        track__in={name.track for name in wanted},
        sequence__in={name.sequence for name in wanted},
    )
    return {(row.track, row.sequence): row for row in rows}
