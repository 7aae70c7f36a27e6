"""One take while it is recorded: its lock, its numbers, its markers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from uuid import UUID

from recorder import clock, durable
from recorder.clock import Timeline
from recorder.errors import SpoolBusy, Unreadable
from recorder.names import ClosedMarker, Ending, GapMarker, SegmentName, sequence_of
from recorder.spool import Spool, unwritable

log = logging.getLogger("recorder")

STAMP, PAUSE = "take.json", "paused.json"
PAUSED = "paused"
TimedBy = Literal["clock", "medium"]


@dataclass(frozen=True)
class Stamp:
    """Where a take's timeline stands, so that another take can continue it."""

    boot_id: str
    origin_ns: int
    origin_wall_ms: int
    host: str
    timed_by: TimedBy = "clock"

    def write(self, directory: Path) -> None:
        """Keep it in the take's directory, durably."""
        durable.write(directory / STAMP, json.dumps(self.__dict__, sort_keys=True).encode() + b"\n")

    @classmethod
    def read(cls, directory: Path) -> Stamp | None:
        """A take's stamp; None when it recorded nothing or the stamp is damaged."""
        try:
            return cls(**json.loads((directory / STAMP).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None


@dataclass(frozen=True, order=True)
class Progress:
    """The last committed segment of a track: its counter and end. Outlives the segment's file."""

    counter: int
    end_us: int

    @staticmethod
    def read_all(directory: Path) -> dict[str, Progress]:
        """By track; what is missing or damaged is left out."""
        found = {}
        for path in directory.glob("last_*.json"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                found[path.stem.removeprefix("last_")] = Progress(**json.loads(path.read_bytes()))
        return found

    def write(self, directory: Path, track: str) -> None:
        """Note it. Not synced: it only speaks for segments that were removed, long after they were synced."""
        with contextlib.suppress(OSError):
            temporary = directory / f".last_{track}.tmp"
            temporary.write_text(json.dumps(self.__dict__))
            temporary.replace(directory / f"last_{track}.json")


def paused_since(directory: Path) -> int | None:
    """When a take was paused that had not gone on when it ended, microseconds; None: it was not."""
    try:
        return int(json.loads((directory / PAUSE).read_bytes())["from_us"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


class Lock:
    """An exclusive lock that goes with its holder, however the holder ends."""

    def __init__(self, path: Path, *, busy: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise SpoolBusy(busy) from error
        except OSError:  # a disk that knows no locks
            os.close(self._file)
            raise

    def release(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def lock_take(directory: Path) -> Lock:
    """The lock of a take's directory: recording and recovery both need it."""
    return Lock(directory / "lock", busy=f"{directory} is being recorded or recovered by another program.")


class Take:
    """The files of one take: hands out names in order and writes its markers. Holds the lock."""

    def __init__(self, spool: Spool, session: UUID, *, take: int) -> None:
        self.spool, self.session, self.number = spool, session, take
        self.directory = spool.make_take(session, take)
        try:
            self._lock = lock_take(self.directory)
        except OSError as error:
            raise unwritable(self.directory, error) from error
        self.timeline: Timeline | None = None
        self.tracks: dict[str, int] = {}
        self.bytes = self.segments = 0
        self._counting = threading.Lock()  # tracks commit beside each other
        self._gaps: Counter[str] = Counter()
        self._epochs: Counter[str] = Counter()
        self._is_paused = False

    def begin(self, timeline: Timeline, *, host: str, timed_by: TimedBy = "clock") -> None:
        """Fix the timeline; from now on segments can be named."""
        self.timeline = timeline
        stamp = Stamp(clock.boot_id(), timeline.origin_ns, timeline.origin_wall_ms, host, timed_by)
        try:
            stamp.write(self.directory)
        except OSError as error:
            raise unwritable(self.directory, error) from error

    def next_epoch(self, track: str) -> int:
        """The number of a track's new epoch, from 1."""
        self._epochs[track] += 1
        return self._epochs[track]

    def next_segment(self, track: str, *, epoch: int, start_us: int, extension: str = "mp4") -> SegmentName:
        """The name of a track's next segment, its end still at its start."""
        if self.timeline is None:
            raise Unreadable("A segment was begun before the timeline was fixed; this is a defect.")
        counter = self.tracks[track] = self.tracks.get(track, 0) + 1
        sequence = sequence_of(self.number, counter)
        # An imported file runs ahead of the clock: no segment is dated after it was written.
        wall = max(0, min(self.timeline.wall_ms(start_us), time.time_ns() // 1_000_000))
        return SegmentName(self.session, track, sequence, epoch, start_us, start_us, wall, extension)

    def withdraw_segment(self, track: str) -> None:
        """Give a number back whose segment never came to be."""
        self.tracks[track] -= 1

    def committed(self, name: SegmentName, length: int) -> None:
        """Count one segment that reached its final name."""
        with self._counting:
            self.segments, self.bytes = self.segments + 1, self.bytes + length
        Progress(name.counter, name.end_us).write(self.directory, name.track)

    def gap(self, track: str, from_us: int, *, to_us: int, reason: str, uncertain: bool) -> None:
        """Record that a track has nothing between two times; nothing is written for an empty stretch."""
        if to_us <= from_us:
            return
        self._gaps[track] += 1
        place = self.session, track, self.number, self._gaps[track]
        keep(self.spool, GapMarker(*place, from_us, to_us, reason, uncertain))

    def pause(self, from_us: int) -> None:
        """Note durably that nothing is recorded any more because it is paused, however this recorder ends."""
        self._is_paused = True
        try:
            durable.write(self.directory / PAUSE, json.dumps({"from_us": from_us}).encode() + b"\n")
        except OSError as error:
            log.warning("That take %s is paused could not be noted: %s", self.number, error)

    def resume(self) -> None:
        """It is wanted again: what is missing from now on is no pause."""
        if self._is_paused:
            self._is_paused = False
            with contextlib.suppress(OSError):
                (self.directory / PAUSE).unlink(missing_ok=True)

    def close(self, end_us: int, *, reason: str, ending: Ending) -> None:
        """Record that each track of this take is complete, and give up the lock."""
        if self._is_paused:
            self.pause(end_us)  # until here there is a gap; whoever goes on has the rest to account for
        try:
            for track, last in ({"screen": 0} | self.tracks).items():
                marker = ClosedMarker(self.session, track, self.number, last, end_us, reason, ending)
                keep(self.spool, marker)
        finally:
            self._lock.release()


def keep(spool: Spool, marker: GapMarker | ClosedMarker) -> None:
    """Write a marker, if need be into the room that was kept for it."""
    for make_room in (spool.release_reserve, spool.release_marker_reserve):
        try:
            _write(spool, marker)
        except OSError:
            make_room()
        else:
            return
    try:
        _write(spool, marker)
    except OSError as error:
        raise unwritable(spool.take_directory(marker.session, marker.take), error) from error


def _write(spool: Spool, marker: GapMarker | ClosedMarker) -> None:
    if isinstance(marker, GapMarker):
        spool.write_gap(marker)
    else:
        spool.write_closed(marker)
