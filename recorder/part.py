"""A segment while it is written: whole fragments or nothing, even on a full disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from recorder import durable
from recorder.errors import DiskFull, SpoolUnwritable
from recorder.names import SegmentName
from recorder.spool import FULL, unwritable
from recorder.take import Take


class Part:
    """An open `.part` file. Its length is always that of whole fragments, so it decodes whenever it is cut.

    When the disk is full, the spool's reserve is released once, the write is repeated, and `full` says so:
    the caller should close what is open and stop.
    """

    def __init__(self, take: Take, name: SegmentName, *, init: bytes) -> None:
        self._take, self._name = take, name
        self.path: Path = take.directory / name.part_filename
        self.full: DiskFull | None = None
        self.length = self._init_length = 0
        self._is_named = self._is_doubtful = False
        self._file = self._open()
        try:
            self.append(init)
        except (DiskFull, SpoolUnwritable):
            self.discard()
            raise
        self._init_length = self.length

    @property
    def is_empty(self) -> bool:
        """Whether not one fragment was written."""
        return self.length == self._init_length

    def append(self, fragment: bytes) -> None:
        """Add a whole fragment, or leave the file as it was and raise `DiskFull` or `SpoolUnwritable`."""
        try:
            self._write(fragment)
        except OSError as error:
            self._file.truncate(self.length)
            self._make_room(error)
            self._write_again(fragment)
        self.length += len(fragment)

    def sync(self) -> None:
        """Have what is written survive a power cut, as a `.part`; `commit` makes good for a failure."""
        try:
            self._file.sync()
            if not self._is_named:
                durable.sync_directory(self.path.parent)
                self._is_named = True
        except OSError:
            self._is_doubtful = True

    def commit(self, end_us: int) -> Path:
        """Sync, close and give the file its final name."""
        name = replace(self._name, end_us=end_us)
        try:
            self._file.close()
            if self._is_doubtful:
                return self._counted(self._committed_again(name), name)
            target = self._take.spool.commit(self.path, name)
        except OSError as error:
            self._make_room(error)
            target = self._committed_again(name)
        return self._counted(target, name)

    def finish(self, end_us: int) -> None:
        """As `commit`, and raise `DiskFull` when that took the spool's reserve."""
        self.commit(end_us)
        if self.full is not None:
            raise self.full

    def _counted(self, target: Path, name: SegmentName) -> Path:
        self._take.committed(name, self.length)
        return target

    def _committed_again(self, name: SegmentName) -> Path:
        try:
            return self._take.spool.commit_again(self.path, name)
        except OSError as error:
            raise unwritable(self.path.parent, error) from error

    def discard(self) -> None:
        """Forget a segment that holds nothing."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._take.withdraw_segment(self._name.track)

    def _open(self) -> _File:
        """The new file; when there can be none, its number is free again."""
        try:
            return self._opened()
        except (DiskFull, SpoolUnwritable):
            self._take.withdraw_segment(self._name.track)
            raise

    def _opened(self) -> _File:
        try:
            return _File(self.path)
        except OSError as error:
            self._make_room(error)
        try:
            return _File(self.path)
        except OSError as error:
            raise unwritable(self.path.parent, error) from error

    def _write(self, fragment: bytes) -> None:
        view, place = memoryview(fragment), self.length
        while view:
            written = self._file.write(view, at=place)
            view, place = view[written:], place + written

    def _write_again(self, fragment: bytes) -> None:
        try:
            self._write(fragment)
        except OSError as error:
            self._file.truncate(self.length)
            raise unwritable(self.path.parent, error) from error

    def _make_room(self, error: OSError) -> None:
        """Release the reserve and note the full disk; raise when that cannot help."""
        trouble = unwritable(self.path.parent, error)
        if error.errno not in FULL or not isinstance(trouble, DiskFull):
            raise trouble from error
        self._take.spool.release_reserve()
        self.full = trouble


class _File:
    """A file written at explicit places, unbuffered: an error belongs to the write that met it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, content: memoryview, *, at: int) -> int:
        """Write some of the content; how much."""
        return os.pwrite(self._descriptor, content, at)

    def truncate(self, length: int) -> None:
        """Cut the file back."""
        os.ftruncate(self._descriptor, length)

    def sync(self) -> None:
        """Have what is written survive a power cut."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close it; twice does no harm."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
