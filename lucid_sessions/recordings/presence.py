"""Who works on this host: a worker holds a lock while it lives, so that its death is known within a tick.

    <spool>/workers/<name>    locked (flock) by the worker of that name, and by what it forked

The kernel gives a lock back when the last process that holds it is gone, however it went; a worker that
merely stalls keeps it, and so does one in another container that shares the spool. Nothing that matters
rests on this: where no lock can be had, or a disk lies about it, leases run out and fences hold.
"""

import os
import re
import secrets
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from recorder.errors import SpoolBusy
from recorder.take import Lock

# What a token begins with, in hex digits; the rest of its 32 is drawn for each claim.
NAME_DIGITS = 12
NAME = re.compile(rf"[0-9a-f]{{{NAME_DIGITS}}}")


@dataclass
class Presence:
    """The locks of one host's workers, in the directory `root`."""

    root: Path
    _name: str = ""

    def name(self) -> str:
        """This worker's name, its lock held from now on; empty where none can be had."""
        if not self._name:
            with suppress(OSError):
                self._take(self.root / secrets.token_hex(NAME_DIGITS // 2))
        return self._name

    def _take(self, path: Path) -> None:
        (self.root.parent / "id").stat()  # where none is, no spool is mounted
        self.root.mkdir(mode=0o700, exist_ok=True)
        lock = _locked(path)
        if lock is None:
            path.unlink(missing_ok=True)  # on a disk that knows no locks each claim would leave one
            return
        if not path.exists():
            lock.release()  # somebody took it for a dead one's before it was locked
            return
        self._name = path.name
        # Held for the life of this process, and of those that it forks.
        weakref.finalize(self, _leave, path, lock, os.getpid())

    @contextmanager
    def of_the_dead(self) -> Iterator[list[str]]:
        """The names of workers that are gone and took no leave; forgotten once the block has ended well."""
        with ExitStack() as locks:
            gone = [path for path in self._files() if (lock := _locked(path)) and locks.enter_context(lock)]
            yield [path.name for path in gone]
            for path in gone:
                with suppress(OSError):
                    path.unlink()

    def _files(self) -> list[Path]:
        try:
            return [path for path in sorted(self.root.iterdir()) if NAME.fullmatch(path.name)]
        except OSError:
            return []


def _locked(path: Path) -> Lock | None:
    """The file's lock, now ours; None while another holds it, or where it cannot be had."""
    with suppress(SpoolBusy, OSError):
        return Lock(path, busy="")
    return None


def _leave(path: Path, lock: Lock, pid: int) -> None:
    lock.release()
    if os.getpid() == pid:
        with suppress(OSError):
            path.unlink()
