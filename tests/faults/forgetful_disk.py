"""A file system in memory, mounted through FUSE, that after a power cut holds what it was asked to sync.

    python -m tests.faults.forgetful_disk MOUNT

Writing "KILL AFTER SEED" to its file `.cut` arms it: at the AFTERth change from then on it kills the process
KILL (0: none), and is at once what a disk may be after a cut (drawn by SEED; see crash_states). AFTER 0: now.
AFTER -1: nothing happens, and all that is there now is safe.
"""

import contextlib
import errno
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import mfusepy

from tests.faults.crash_states import Call, Disk

ROOT = "/disk"
CUT = "/.cut"
WRITES_AT_ONCE = 1 << 17


class ForgetfulDisk(mfusepy.Operations):
    """What changes goes to `crash_states.Disk`, which knows what of it is safe."""

    use_ns = True

    def __init__(self) -> None:
        self.disk = Disk(ROOT)
        self.modes: dict[int, int] = {}
        self.changed: dict[int, int] = {}
        self.root_changed = time.time_ns()
        self.victim, self.left, self.seed = 0, -1, 0

    def _number(self, path: str) -> int:
        try:
            return self.disk.names[ROOT + path]
        except KeyError:
            raise OSError(errno.ENOENT, path) from None

    def _change(self, name: str, *paths: str, creates: bool = False) -> None:
        """One change, with the times of the directories that it is about; perhaps the last before the cut."""
        self.disk.apply(Call(name, tuple(ROOT + path for path in paths), creates=creates))
        for path in paths:
            self._touch(path.rsplit("/", 1)[0])
        self._count()

    def _touch(self, path: str) -> None:
        if path in ("", "/"):
            self.root_changed = time.time_ns()
        else:
            self.changed[self._number(path)] = time.time_ns()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._cut()
            raise OSError(errno.EIO, "the power is gone")

    def _cut(self) -> None:
        if self.victim > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.victim, signal.SIGKILL)
        rng = Random(self.seed)
        crash = rng.choice(list(self.disk.crashes(rng, after="")))
        modes = {path: self.modes.get(number, 0o600) for path, number in self.disk.names.items()}
        self.disk = Disk(ROOT)
        self.modes, self.changed = {}, {}
        for path in sorted({*crash.directories, *crash.files}):
            number = self.disk._new(path)
            self.modes[number] = modes.get(path, 0o600)
            self._touch(path.removeprefix(ROOT))
            if path in crash.directories:
                self.disk.directories.add(number)
            else:
                self.disk.content[number] = bytearray(crash.files[path])
                self.disk.safe_content[number] = crash.files[path]
        self.disk.safe_names = dict(self.disk.names)

    def _sync(self) -> None:
        self.disk.safe_names = dict(self.disk.names)
        self.disk.safe_content = {number: bytes(content) for number, content in self.disk.content.items()}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path in ("/", CUT):
            mode, size, moment = (
                (stat.S_IFDIR | 0o700 if path == "/" else stat.S_IFREG | 0o600),
                0,
                self.root_changed,
            )
        else:
            number = self._number(path)
            folder = number in self.disk.directories
            mode = (stat.S_IFDIR if folder else stat.S_IFREG) | self.modes.get(number, 0o700)
            size, moment = 0 if folder else len(self.disk.content[number]), self.changed.get(number, 0)
        times = {"st_mtime": moment, "st_ctime": moment, "st_atime": moment}
        return {"st_mode": mode, "st_size": size, "st_nlink": 1, "st_uid": os.getuid(), **times}

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        below = ROOT + path.rstrip("/") + "/"
        yield from (".", "..")
        for name in list(self.disk.names):
            if name.startswith(below) and "/" not in name[len(below) :]:
                yield name[len(below) :]

    def mkdir(self, path: str, mode: int) -> int:
        self._change("mkdir", path)
        self.modes[self._number(path)] = mode & 0o7777
        self.changed[self._number(path)] = time.time_ns()
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._change("openat", path, creates=True)
        number = self._number(path)
        self.modes[number], self.changed[number] = mode & 0o7777, time.time_ns()
        return number

    def open(self, path: str, flags: int) -> int:
        return 0 if path == CUT else self._number(path)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self.disk.content[fh][offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        if path == CUT:
            self.victim, self.left, self.seed = (int(word) for word in data.split())
            if self.left == 0:
                self._cut()
            elif self.left < 0:
                self._sync()
            return len(data)
        content = self.disk.content[fh]
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data
        self.changed[fh] = time.time_ns()
        self._count()
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        if path != CUT:
            content = self.disk.content[self._number(path)]
            del content[length:]
            content.extend(bytes(length - len(content)))
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self.disk.safe_content[fh] = bytes(self.disk.content[fh])
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self.disk.apply(Call("fsync", (ROOT + path.rstrip("/"),)))
        return 0

    def rename(self, old: str, new: str) -> int:
        if self._number(old) in self.disk.directories:
            raise OSError(errno.ENOTSUP, "no directory is renamed here")
        self._change("rename", old, new)
        return 0

    def link(self, target: str, source: str) -> int:
        if ROOT + target in self.disk.names:
            raise OSError(errno.EEXIST, target)
        self._change("link", source, target)
        return 0

    def unlink(self, path: str) -> int:
        self._number(path)
        self._change("unlink", path)
        return 0

    def rmdir(self, path: str) -> int:
        if list(self.readdir(path, 0))[2:]:
            raise OSError(errno.ENOTEMPTY, path)
        self._change("unlink", path)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        self.modes[self._number(path)] = mode & 0o7777
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        self.changed[self._number(path)] = times[1] if times else time.time_ns()
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        free = 1 << 24
        return {
            "f_bsize": 4096,
            "f_frsize": 4096,
            "f_blocks": 2 * free,
            "f_bfree": free,
            "f_bavail": free,
            "f_files": free,
            "f_ffree": free,
            "f_favail": free,
            "f_namemax": 255,
        }


def arm(disk: Path, *, kill: int, after: int, seed: int) -> None:
    """From now on the mounted disk loses its power at its `after`th change; 0: at once."""
    with (disk / CUT[1:]).open("wb", buffering=0) as file:
        file.write(b"%d %d %d" % (kill, after, seed))


if __name__ == "__main__":
    # Nothing is cached by the kernel: it would remember what the disk has forgotten.
    uncached = {"entry_timeout": 0, "attr_timeout": 0, "negative_timeout": 0, "direct_io": True}
    mfusepy.FUSE(ForgetfulDisk(), sys.argv[1], foreground=True, nothreads=True, **uncached)
