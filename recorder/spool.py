"""The spool: the durable outbox on the recorder's host.

    root/id                               eight hex digits that name this spool
    root/reserve                          space kept back so that open segments can close on a full disk
    root/reserve-markers                  and so that it can be written down that they did
    root/takes/<session hex>/<take>/      one recorder's tenure: segments, markers, take.json, lock
    root/mirrored                         everything is copied elsewhere before it counts

A segment counts from the moment its file is renamed to its committed name; a `.part` file is in progress. In
a mirrored spool segments and markers are held (`.held` behind their names) until somebody has copied them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Container, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from uuid import UUID

from recorder import durable
from recorder.errors import DiskFull, SpoolUnwritable
from recorder.names import (
    PART,
    ClosedMarker,
    GapMarker,
    Marker,
    SegmentName,
    read_marker,
    sequence_of,
    write_marker,
)

__all__ = ["ClosedMarker", "GapMarker", "SegmentName", "Spool", "sequence_of"]

log = logging.getLogger("recorder")

HELD = ".held"
RESERVE_BYTES = 32 * 1024 * 1024
MARKER_RESERVE_BYTES = 1024 * 1024  # of these: segments that are being closed must not use them up
FULL = {errno.ENOSPC, errno.EDQUOT}


class Spool:
    """A directory that keeps what was recorded until the archive has it."""

    def __init__(self, root: Path, *, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.root = Path(root).absolute()
        self._reserve_bytes = reserve_bytes
        try:
            durable.make_directory(self.root / "takes")
        except OSError as error:
            raise unwritable(self.root, error) from error

    @cached_property
    def identity(self) -> str:
        """The spool's name, eight hex digits, made once and kept in `root/id`."""
        path = self.root / "id"
        with contextlib.suppress(FileNotFoundError):
            return path.read_text().strip()
        try:
            durable.create(path, os.urandom(4).hex().encode() + b"\n")
        except OSError as error:
            raise unwritable(self.root, error) from error
        return path.read_text().strip()

    @cached_property
    def mirrored(self) -> bool:
        """Whether what is committed here is held until a second copy of it is elsewhere."""
        return (self.root / "mirrored").exists()

    def set_mirrored(self, mirrored: bool) -> None:
        """From the next start of a recorder on it is so; what was held without need counts at once."""
        mark = self.root / "mirrored"
        if mirrored:
            durable.write(mark, b"")
        elif mark.exists():
            mark.unlink()
        self.__dict__.pop("mirrored", None)
        if not mirrored:
            for _, _, directory in self.takes():
                for path in chain(*self.held(directory)):
                    self.acknowledge(path)

    def held(self, directory: Path) -> tuple[list[Path], list[Path]]:
        """One take's segments and its markers that nobody has copied yet, in order."""
        found = [path for path in _files(directory) if path.name.endswith(HELD)]
        markers = [path for path in found if path.name.endswith(f".json{HELD}")]
        return [path for path in found if path not in markers], markers

    def acknowledge(self, path: Path) -> Path:
        """Give a held file the name under which it counts, durably."""
        target = path.with_name(path.name.removesuffix(HELD))
        durable.rename(path, target)
        return target

    def take_directory(self, session: UUID, take: int) -> Path:
        """Where a take's files lie; the directory need not exist."""
        return self.root / "takes" / session.hex / str(take)

    def make_take(self, session: UUID, take: int) -> Path:
        """A take's directory, made durably if it was missing."""
        directory = self.take_directory(session, take)
        try:
            durable.make_directory(directory)
        except OSError as error:
            raise unwritable(directory, error) from error
        return directory

    def commit(self, part: Path, name: SegmentName) -> Path:
        """Turn a finished `.part` file into a segment: sync it, rename it, sync its directory."""
        with part.open("rb") as file:
            os.fsync(file.fileno())
        target = part.with_name(name.filename + self._suffix)
        durable.rename(part, target)
        return target

    def commit_again(self, part: Path, name: SegmentName) -> Path:
        """As `commit`, after a sync of `part` has failed: its bytes are written anew.

        The kernel reports lost pages once and then calls them clean, so another fsync would prove nothing.
        """
        target = part.with_name(name.filename + self._suffix)
        durable.write(target, part.read_bytes())
        part.unlink()
        return target

    def segments(
        self, directory: Path | None = None, *, held: bool = False
    ) -> Iterator[tuple[Path, SegmentName]]:
        """Committed segments of one take's directory, or of the whole spool, in order within each take.

        With `held` also those that do not count yet.
        """
        directories = [directory] if directory is not None else [path for _, _, path in self.takes()]
        suffix = HELD if held else ""
        for folder in directories:
            files = _files(folder)
            named = [(found, path) for path in files if (found := _parsed(path.name.removesuffix(suffix)))]
            yield from ((path, name) for name, path in sorted(named, key=lambda pair: pair[0]))

    def parts(self, directory: Path) -> list[Path]:
        """Segments in progress in one take's directory, oldest first."""
        return sorted(path for path in _files(directory) if path.name.endswith(PART))

    def takes(
        self, only: UUID | None = None, *, but: Container[UUID] = ()
    ) -> Iterator[tuple[UUID, int, Path]]:
        """Every take (of one session, or of all others) that has a directory here: session, take, directory.

        A session whose directory cannot be listed, as on a disk with a bad place, hides no other.
        """
        for session in self._sessions() if only is None else [only]:
            if session in but:
                continue
            try:
                yield from self.takes_of(session)
            except OSError as error:
                log.error("session %s in the spool cannot be listed: %s", session, error)

    def _sessions(self) -> Iterator[UUID]:
        for folder in _files(self.root / "takes"):
            with contextlib.suppress(ValueError):
                yield UUID(hex=folder.name)

    def takes_of(self, session: UUID) -> Iterator[tuple[UUID, int, Path]]:
        """One session's takes, first to last."""
        folders = _files(self.root / "takes" / session.hex)
        for take in sorted(int(folder.name) for folder in folders if folder.name.isdecimal()):
            yield session, take, self.take_directory(session, take)

    def write_gap(self, marker: GapMarker) -> Path:
        """Record a gap durably."""
        return write_marker(self.make_take(marker.session, marker.take), marker, suffix=self._suffix)

    def write_closed(self, marker: ClosedMarker) -> Path:
        """Record durably that a take's track is complete."""
        return write_marker(self.make_take(marker.session, marker.take), marker, suffix=self._suffix)

    def gaps(self, directory: Path) -> list[GapMarker]:
        """A take's gaps, in order, held ones too."""
        found = [_marker(path, GapMarker) for path in _markers(directory, "gap_*_*.json")]
        return sorted(found, key=lambda gap: (gap.track, gap.number))

    def closed(self, directory: Path) -> dict[str, ClosedMarker]:
        """A take's closed tracks, by track, held ones too."""
        found = [_marker(path, ClosedMarker) for path in _markers(directory, "closed_*.json")]
        return {marker.track: marker for marker in found}

    @property
    def _suffix(self) -> str:
        return HELD if self.mirrored else ""

    @property
    def reserve_path(self) -> Path:
        """The file whose removal makes room on a full disk."""
        return self.root / "reserve"

    @property
    def marker_reserve_path(self) -> Path:
        """The file whose removal makes room for markers, when there is none left at all."""
        return self.root / "reserve-markers"

    def hold_reserve(self) -> bool:
        """Whether the reserve is held now: allocates it when it was missing and there is room."""
        if self._reserve_bytes <= 0:
            return False
        for_markers = min(MARKER_RESERVE_BYTES, self._reserve_bytes // 4)
        return self._hold(self.marker_reserve_path, for_markers) and self._hold(
            self.reserve_path, self._reserve_bytes
        )

    def _hold(self, path: Path, length: int) -> bool:
        if _size(path) >= length:
            return True
        try:
            with path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, length)
        except OSError as error:
            _remove(path)
            if error.errno in FULL:
                return False
            raise unwritable(self.root, error) from error
        return True

    def release_reserve(self) -> bool:
        """Give what is reserved for segments back to the disk; False when there was none to give."""
        return _remove(self.reserve_path)

    def release_marker_reserve(self) -> bool:
        """Give the rest back; False when there was none to give."""
        return _remove(self.marker_reserve_path)

    def free_bytes(self) -> int:
        """Bytes that this user may still write to the spool's disk."""
        stat = os.statvfs(self.root)
        return stat.f_bavail * stat.f_frsize


def unwritable(path: Path, error: OSError) -> DiskFull | SpoolUnwritable:
    """The error of ours for a failed write, with the path, the reason and the fix."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return DiskFull(f"Disk is full at {path}. Free space there; what was recorded so far is kept.")
    return SpoolUnwritable(f"Cannot write to the spool at {path}: {reason}. Check its owner, mode and mount.")


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _markers(directory: Path, pattern: str) -> list[Path]:
    # Held ones first: one that is acknowledged meanwhile has the name that is listed next.
    found = [*directory.glob(pattern + HELD), *directory.glob(pattern)]
    return list({path.name.removesuffix(HELD): path for path in found}.values())


def _marker(path: Path, kind: type[Marker]) -> Marker:
    try:
        return read_marker(path, kind)
    except FileNotFoundError:  # acknowledged since it was listed
        return read_marker(path.with_name(path.name.removesuffix(HELD)), kind)


def _parsed(name: str) -> SegmentName | None:
    try:
        return SegmentName.parse(name)
    except ValueError:
        return None


def _remove(path: Path) -> bool:
    """Whether there was such a file; there is none now."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
