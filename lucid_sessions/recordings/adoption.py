"""What a lost host had acknowledged is taken over by this one, from the second copies in the object store.

Each file gets a place of its own in this spool (`<take>.<lost spool>`, which no scanner looks into) and a
copy in this spool's name, before its row moves over and the old copy goes. So it can be interrupted anywhere
and done again. If the lost host comes back after all, its files meet rows of another spool and go aside.

A database that was restored to a time before knows nothing of it: what lies in such places is filed again.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import structlog
from django.db import IntegrityError, InterfaceError, OperationalError
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from lucid_sessions.durable import write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered
from recorder.errors import Unreadable
from recorder.names import COUNTER_BITS, ClosedMarker, GapMarker, SegmentName, read_marker

from . import failpoints, hints, intake, lost_hosts, markers, spool_files, tombstones
from .installation import Installation
from .known_takes import Place
from .lifecycle import ARCHIVED, STAGES
from .models import Chunk, Session, Take
from .spool_mirror import Copy, SpoolMirror, mirror_of

log = structlog.get_logger(__name__)

NO_COPY = "the host of spool {spool} was lost, and there is no second copy of this"


@dataclass
class Adopted:
    """What was taken over, and what could not be."""

    segments: int = 0
    markers: int = 0
    takes: int = 0
    problems: list[str] = field(default_factory=list)
    # Takes that lie here and wait: for their session's row, or until their host was silent for long enough.
    waits: int = 0


def adopt(world: Installation, lost: str) -> Adopted:
    """Everything that the lost spool had acknowledged is in this host's care. Retryable: do it again.

    Refused without LUCID_SPOOL=s3, for this host's own spool, and for one that has no copies. Retryable as
    soon as the lost host is heard from: what was taken over by then stays here.
    """
    mirror = mirror_of(world)
    if mirror is None:
        raise Refused("There are no second copies: LUCID_SPOOL is not s3.")
    if lost == world.spool.identity:
        raise Refused(f"{lost} is this host's own spool: nothing of it is lost.")
    done, found, takes = Adopted(), list(mirror.copies(lost)), Take.objects.filter(spool=lost)
    if not found and not takes.exists():
        raise Refused(f"Nobody knows a spool {lost}: `manage.py spool list` shows them.")
    lost_hosts.require_silent(lost)
    for place in _here(world, lost):
        if _is_known(place[0]):
            _file_take(*place, done, world=world, lost=lost)
    for copy in sorted(found, key=_segments_first):
        lost_hosts.require_silent(lost)
        try:
            _adopt(copy, done, world=world, mirror=mirror)
        except (Tampered, Unreadable) as error:
            done.problems.append(f"{copy.key}: {error}")
    # One that has returned meanwhile records into its takes, and what has no copy yet is safe with it.
    lost_hosts.require_silent(lost)
    left = _give_up_the_rest(lost, done)
    done.takes = _end(takes)
    # It will never confirm that it cleared what expires; its copies go with ours. What is left is not ours.
    mine = [take.pk for take in takes if (take.session_id, take.number) not in left]
    takes.filter(pk__in=mine).update(spool=world.spool.identity)
    log.warning("spool adopted", lost=lost, segments=done.segments, markers=done.markers)
    return done


def _end(takes: "QuerySet[Take]") -> int:
    return takes.filter(ended_at__isnull=True).update(ended_at=timezone.now(), reason="its host was lost")


def file_again(world: Installation) -> Adopted:
    """What lies here of lost spools has its rows, though the database was restored to a time before.

    A host that lives after all has its segments itself: what is here of them waits. So does what is of a
    session without a row: the database may be the older of the two, and not restored to its end yet.
    """
    done = Adopted()
    for session, take, directory in list(_here(world)):
        try:
            lost = directory.name.partition(".")[2]
            if (is_known := _is_known(session)) and not lost_hosts.lives(lost):
                _file_take(session, take, directory, done, world=world, lost=lost)
                _take_over(session, take, lost, mine=world.spool.identity)
            elif any(world.spool.segments(directory)):
                done.waits += 1
                log.warning("adopted take waits", directory=str(directory), is_known=is_known)
        except (OperationalError, InterfaceError, Retryable):
            raise  # no fault of the take: the others would fare no better
        except OSError as error:
            done.problems.append(f"{directory}: {error.strerror}")
        except Exception as error:
            # Nor may one with something in it that nobody foresaw hide the others.
            log.exception("adopted take not filed", directory=str(directory))
            done.problems.append(f"{directory}: unexpected {type(error).__name__}: {error}")
    for problem in done.problems:
        log.warning("adopted, but not filed", reason=problem)
    return done


def _here(world: Installation, lost: str = "") -> Iterator[Place]:
    """Where takes of that lost spool, or of all, lie in this one, but for those of sessions that are gone."""
    for session, take, directory in spool_files.adopted_takes(world.spool_root):
        if directory.name.endswith(f".{lost}" if lost else "") and not tombstones.is_gone(session):
            yield session, take, directory


def _is_known(session: UUID) -> bool:
    return Session.objects.filter(pk=session).exists()


def _file_take(
    session: UUID, take: int, directory: Path, done: Adopted, *, world: Installation, lost: str
) -> None:
    """What was adopted of this take has its rows."""
    for path, name in world.spool.segments(directory):
        # One that left since it was listed, as what the archive has does, is nothing to be filed.
        with suppress(FileNotFoundError):
            if problem := spool_files.problem(path, name, session=session, take=take):
                done.problems.append(f"{path}: {problem}")
            else:
                done.segments += _file(name, path, world=world, lost=lost)
    for path in sorted(directory.glob("*.json")):
        try:
            markers.file_marker(_marker(path, session=session, take=take))
            done.markers += 1
        except Unreadable as error:
            done.problems.append(str(error))


def _take_over(session: UUID, take: int, lost: str, *, mine: str) -> None:
    """The take is this host's to clear one day, unless something of it only the lost spool had."""
    begin, end = take << COUNTER_BITS, (take + 1) << COUNTER_BITS
    left = Chunk.objects.filter(session=session, spool=lost, sequence__gte=begin, sequence__lt=end)
    left.filter(state__in=ARCHIVED, quarantined_at__isnull=True).update(spool=mine, path="")
    takes = Take.objects.filter(session=session, number=take, spool=lost)
    _end(takes)
    if not left.exists():
        takes.update(spool=mine)


def _segments_first(copy: Copy) -> tuple[bool, str]:
    """A track's end is filed after all its segments."""
    return copy.name.endswith(".json"), copy.key


def _adopt(copy: Copy, done: Adopted, *, world: Installation, mirror: SpoolMirror) -> None:
    if tombstones.is_gone(copy.session) or not Session.objects.filter(pk=copy.session).exists():
        if tombstones.is_gone(copy.session):
            mirror.forget(copy)
        else:
            done.problems.append(f"{copy.key}: no row of its session, the copy is kept")
        return
    content = mirror.get(copy)
    mine = replace(copy, spool=world.spool.identity, take=f"{copy.take.split('.')[0]}.{copy.spool}")
    path = world.spool_root / "takes" / mine.session.hex / mine.take / mine.name
    try:
        write_durably(path, content)
        mirror.put(mine, content)
        failpoints.reach("adopt.copied")
        _file_copy(copy, path, done, world=world)
    except FileNotFoundError as error:
        if not _may_leave(copy):
            problem = f"{path} has left the spool while it was adopted. Adopt again: the copy is kept"
            raise Unreadable(problem) from error
        mirror.forget(mine)
    failpoints.reach("adopt.filed")
    mirror.forget(copy)


def _file_copy(copy: Copy, path: Path, done: Adopted, *, world: Installation) -> None:
    """What was copied to this place has its row."""
    if copy.name.endswith(".json"):
        markers.file_marker(_marker(path, session=copy.session, take=_take_of(copy)))
        done.markers += 1
    else:
        _file(_segment_name(copy, path), path, world=world, lost=copy.spool)
        done.segments += 1


def _may_leave(copy: Copy) -> bool:
    """True when a recorder takes the copied file away as soon as it is there: it is archived, or deleted."""
    if tombstones.is_gone(copy.session):
        return True
    try:
        name = SegmentName.parse(copy.name)
    except ValueError:
        return False  # a marker, which stays as long as its session
    row = Chunk.objects.filter(session=name.session, track=name.track, sequence=name.sequence).first()
    return row is not None and intake.is_safe(row)


def _marker(path: Path, *, session: UUID, take: int) -> markers.Marker:
    """Unreadable unless the file can be what its name tells of."""
    gap = path.name.startswith("gap_")
    marker: markers.Marker = read_marker(path, GapMarker) if gap else read_marker(path, ClosedMarker)
    spool_files.require_sound(marker, path, session=session, take=take)
    return marker


def _take_of(copy: Copy) -> int:
    try:
        return int(copy.take.split(".")[0])
    except ValueError as error:
        raise Unreadable(f"{copy.take!r} is no take") from error


def _segment_name(copy: Copy, path: Path) -> SegmentName:
    """Unreadable unless the copy can be the segment that its name tells of."""
    take = _take_of(copy)
    try:
        name = SegmentName.parse(copy.name)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if problem := spool_files.problem(path, name, session=copy.session, take=take):
        raise Unreadable(problem)
    return name


def _file(name: SegmentName, path: Path, *, world: Installation, lost: str) -> bool:
    """Whether a row, new or old, says only now that its bytes are here; a released one needs none."""
    mine = {"spool": world.spool.identity, "path": str(path.relative_to(world.spool_root))}
    try:
        new = Chunk.objects.create(
            session_id=name.session,
            track=name.track,
            sequence=name.sequence,
            epoch=name.epoch,
            start_us=name.start_us,
            end_us=name.end_us,
            timestamp_ms=name.wall_ms,
            raw_length=path.stat().st_size,
            **mine,
        )
    except IntegrityError:
        row = Chunk.objects.get(session=name.session, track=name.track, sequence=name.sequence)
        moved = _move(row, path, name, world=world, lost=lost)
        given_up = Q(reason__startswith="lost with its spool") | Q(reason__startswith="the host of spool")
        back = Chunk.objects.filter(given_up, pk=row.pk, **mine)
        return bool(back.update(quarantined_at=None, reason="", attempts=0)) or moved
    hints.hint([new])
    return True


def _move(row: Chunk, path: Path, name: SegmentName, *, world: Installation, lost: str) -> bool:
    """True when the row said that its bytes are elsewhere, or nowhere, and they are here now."""
    mine = {"spool": world.spool.identity, "path": str(path.relative_to(world.spool_root))}
    there = {"spool": row.spool, "path": row.path}
    if there == mine:
        return False
    if not row.path and intake.is_safe(row):
        # The archive has it already. The copy goes first: without the file nobody would look for it.
        if mirror := mirror_of(world):
            mirror.forget_path(world.spool, path)
        path.unlink(missing_ok=True)
        return False
    others = row.path and row.spool not in (lost, mine["spool"])
    if (others and lost_hosts.lives(row.spool)) or not spool_files.is_same(path, name, row):
        log.warning("adopted segment kept without its row", file=str(path), chunk=str(row.pk), **there)
        return False
    fresh = {"token": "", "lease_until": None, "next_attempt_at": None, "fence": F("fence") + 1}
    return bool(Chunk.objects.filter(pk=row.pk, **there).update(**mine, **fresh))


def _give_up_the_rest(lost: str, done: Adopted) -> set[tuple[UUID, int]]:
    """The takes with chunks whose bytes only that host had, for want of a copy or of a good one.

    They are quarantined, so that their sessions are sealed without them.
    """
    waiting = [stage.needs for stage in STAGES.values() if stage.needs_spool]
    rows = Chunk.objects.filter(spool=lost, state__in=waiting)
    for row in rows:
        done.problems.append(f"chunk {row} of session {row.session_id} has no second copy")
    given_up = {"quarantined_at": timezone.now(), "reason": NO_COPY.format(spool=lost), "token": ""}
    rows.filter(quarantined_at__isnull=True).update(**given_up, fence=F("fence") + 1)
    return {(row.session_id, row.sequence >> COUNTER_BITS) for row in rows}


def known(world: Installation) -> dict[str, int]:
    """How many copies there are of each spool."""
    mirror = mirror_of(world)
    return Counter(copy.spool for copy in mirror.copies()) if mirror else {}
