"""What a lost host had acknowledged is taken over by this one, from the second copies in the object store.

Each file gets a place of its own in this spool (`<take>.<lost spool>`, which no scanner looks into) and a
copy in this spool's name, before its row moves over and the old copy goes. So it can be interrupted anywhere
and done again. If the lost host comes back after all, its files meet rows of another spool and go aside.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import structlog
from django.db import IntegrityError
from django.db.models import F, Q
from django.utils import timezone

from lucid_sessions.durable import write_durably
from lucid_sessions.errors import Refused, Retryable, Tampered
from recorder.errors import Unreadable
from recorder.names import COUNTER_BITS, ClosedMarker, GapMarker, SegmentName, read_marker

from . import failpoints, hints, lost_hosts, markers, spool_files, tombstones
from .installation import Installation
from .lifecycle import STAGES
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


def adopt(world: Installation, lost: str) -> Adopted:
    """Everything that the lost spool had acknowledged is in this host's care. Retryable: do it again.

    Refused without LUCID_SPOOL=s3, for this host's own spool, and for one that has no copies.
    """
    mirror = mirror_of(world)
    if mirror is None:
        raise Refused("There are no second copies: LUCID_SPOOL is not s3.")
    if lost == world.spool.identity:
        raise Refused(f"{lost} is this host's own spool: nothing of it is lost.")
    done, found, takes = Adopted(), list(mirror.copies(lost)), Take.objects.filter(spool=lost)
    if not found and not takes.exists():
        raise Refused(f"Nobody knows a spool {lost}: `manage.py spool list` shows them.")
    if lost_hosts.lives(lost):
        raise Retryable(f"The host of spool {lost} was heard from within the last half minute: is it lost?")
    for copy in sorted(found, key=_segments_first):
        try:
            _adopt(copy, done, world=world, mirror=mirror)
        except (Tampered, Unreadable) as error:
            done.problems.append(f"{copy.key}: {error}")
    left = _give_up_the_rest(lost, done)
    done.takes = takes.filter(ended_at__isnull=True).update(
        ended_at=timezone.now(), reason="its host was lost"
    )
    # It will never confirm that it cleared what expires; its copies go with ours. What is left is not ours.
    mine = [take.pk for take in takes if (take.session_id, take.number) not in left]
    takes.filter(pk__in=mine).update(spool=world.spool.identity)
    log.warning("spool adopted", lost=lost, segments=done.segments, markers=done.markers)
    return done


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
    write_durably(path, content)
    mirror.put(mine, content)
    failpoints.reach("adopt.copied")
    if copy.name.endswith(".json"):
        gap = copy.name.startswith("gap_")
        marker: markers.Marker = read_marker(path, GapMarker) if gap else read_marker(path, ClosedMarker)
        spool_files.require_sound(marker, path, session=copy.session, take=_take_of(copy))
        markers.file_marker(marker)
        done.markers += 1
    else:
        _file(_segment_name(copy, path), path, world=world, lost=copy.spool)
        done.segments += 1
    failpoints.reach("adopt.filed")
    mirror.forget(copy)


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


def _file(name: SegmentName, path: Path, *, world: Installation, lost: str) -> None:
    """The segment's row, old or new, says that its bytes are here now; a released one needs none."""
    mine = {"spool": world.spool.identity, "path": str(path.relative_to(world.spool_root))}
    rows = Chunk.objects.filter(session=name.session, track=name.track, sequence=name.sequence)
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
        hints.hint([new])
    except IntegrityError:
        fresh = {"token": "", "lease_until": None, "next_attempt_at": None, "fence": F("fence") + 1}
        moved = rows.filter(spool=lost, path__gt="").update(**mine, **fresh)
        if not moved and not rows.filter(**mine).exists():
            path.unlink(missing_ok=True)  # the archive has it already
        given_up = Q(reason__startswith="lost with its spool") | Q(reason__startswith="the host of spool")
        rows.filter(given_up, **mine).update(quarantined_at=None, reason="", attempts=0)


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
