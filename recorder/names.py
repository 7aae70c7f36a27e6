"""The names of files in the spool: a segment's name says all that is needed to file it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID

from recorder import durable
from recorder.errors import Unreadable

PART = ".part"
COUNTER_BITS = 32
_TRACK = r"[a-z][a-z0-9-]{0,15}"
_SEGMENT = re.compile(
    rf"([0-9a-f]{{32}})_({_TRACK})_([0-9a-f]{{16}})_(\d+)_(\d+)_(\d+)_(\d+)\.(mp4|jsonl|webp)"
)
_IN_PROGRESS = re.compile(
    rf"([0-9a-f]{{32}})_({_TRACK})_([0-9a-f]{{16}})_(\d+)_(\d+)_(\d+)\.(mp4|jsonl|webp)\.part"
)
Ending = Literal["ended", "failed", "interrupted"]
Marker = TypeVar("Marker", "GapMarker", "ClosedMarker")


def sequence_of(take: int, counter: int) -> int:
    """The sequence number of a take's `counter`th segment of a track; counters begin at 1."""
    return take << COUNTER_BITS | counter


@dataclass(frozen=True, order=True)
class SegmentName:
    """Who, which track, where in the recording, when: a segment, told by its file name alone.

    Times are integer microseconds on the session's timeline; `wall_ms` is the wall clock at the start.
    """

    session: UUID
    track: str
    sequence: int
    epoch: int
    start_us: int
    end_us: int
    wall_ms: int
    extension: str = "mp4"

    @property
    def take(self) -> int:
        """The take that recorded it."""
        return self.sequence >> COUNTER_BITS

    @property
    def counter(self) -> int:
        """Its place within the take and track, from 1."""
        return self.sequence & ((1 << COUNTER_BITS) - 1)

    @property
    def filename(self) -> str:
        """The name of the committed file."""
        return f"{self._stem}_{self.start_us}_{self.end_us}_{self.wall_ms}.{self.extension}"

    @property
    def part_filename(self) -> str:
        """The name of the file while it is written: the end is not known yet."""
        return f"{self._stem}_{self.start_us}_{self.wall_ms}.{self.extension}{PART}"

    @property
    def _stem(self) -> str:
        return f"{self.session.hex}_{self.track}_{self.sequence:016x}_{self.epoch}"

    @classmethod
    def parse(cls, name: str) -> SegmentName:
        """The segment that a committed file's name tells of; `ValueError` for any other name."""
        match = _SEGMENT.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r} is not the name of a segment.")
        session, track, sequence, epoch, start, end, wall, extension = match.groups()
        times = int(epoch), int(start), int(end), int(wall)
        return cls(UUID(session), track, int(sequence, 16), *times, extension)

    @classmethod
    def parse_part(cls, name: str) -> SegmentName:
        """The segment that a file in progress tells of, `end_us` still at `start_us`; else `ValueError`."""
        match = _IN_PROGRESS.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r} is not the name of a segment in progress.")
        session, track, sequence, epoch, start, wall, extension = match.groups()
        times = int(epoch), int(start), int(start), int(wall)
        return cls(UUID(session), track, int(sequence, 16), *times, extension)


@dataclass(frozen=True)
class GapMarker:
    """What could not be recorded: from, to, why; `uncertain` when the length rests on wall clocks."""

    session: UUID
    track: str
    take: int
    number: int
    from_us: int
    to_us: int
    reason: str
    uncertain: bool = False

    @property
    def filename(self) -> str:
        """Its file in the take's directory."""
        return f"gap_{self.track}_{self.number}.json"


@dataclass(frozen=True)
class ClosedMarker:
    """No more segments of this take and track will come after `last_counter` (0: there were none).

    `ending` says whether the recording was over ("ended"), cannot go on ("failed"), or merely this take
    died and another may continue ("interrupted").
    """

    session: UUID
    track: str
    take: int
    last_counter: int
    end_us: int
    reason: str
    ending: Ending = "ended"

    @property
    def filename(self) -> str:
        """Its file in the take's directory."""
        return f"closed_{self.track}.json"


def write_marker(directory: Path, marker: GapMarker | ClosedMarker, *, suffix: str = "") -> Path:
    """Write a marker durably into its take's directory."""
    facts: dict[str, Any] = {**asdict(marker), "session": str(marker.session)}
    path = directory / (marker.filename + suffix)
    durable.write(path, json.dumps(facts, sort_keys=True).encode() + b"\n")
    return path


def read_marker(path: Path, kind: type[Marker]) -> Marker:
    """The marker in a file; `Unreadable` when it is none."""
    try:
        facts = json.loads(path.read_bytes())
        return kind(**{**facts, "session": UUID(facts["session"])})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Unreadable(f"{path} is no {kind.__name__}: {error}. Move it away and look at it.") from error
