"""A process that does all the work while its C library fails its file calls, or half does them."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lucid_sessions.recordings.models import Chunk
from tests.faults.ground import Ground, trials
from tests.faults.load import kill_group
from tests.faults.test_clocks import LOOP
from tests.programs import lacking, needed
from tests.tasks.workers import environment
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)

PRELOADS = ("fiu_run_preload.so", "fiu_posix_preload.so")
PLACES = ("/usr/lib/fiu", "/usr/lib/*/fiu", "/usr/local/lib/fiu")
# Not close: Linux gives the descriptor back whatever close answers; libfiu's close keeps it, and with it the
# lock on the ledger.
FAILING = [
    "posix/io/oc/open",
    "posix/io/sync/*",
    "posix/io/rw/read",
    "posix/io/rw/pread",
    "posix/io/rw/write",
    "posix/io/rw/pwrite",
    "posix/io/rw/*/reduce",
    "posix/io/dir/*",
]
ODDS = ("0.02", "0.1", "0.3")
# Where three in ten reads fail, hardly any query of SQLite's comes to its end: the disk gets well again then.
LASTS_SECONDS = 5.0
ERRORS = (errno.EIO, errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.EINTR)


@dataclass
class Loop:
    """The reconciler's loop under libfiu, started again as a supervisor would when it ends."""

    ground: Ground
    control: str
    preload: str
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def start(self) -> None:
        env = environment(self.ground.world, "redis://127.0.0.1:1/0")
        env |= {"LD_PRELOAD": self.preload, "FIU_CTRL_FIFO": f"{self.ground.home}/fiu"}
        with (self.ground.home / "loop.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LOOP],
                env=env,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.starts += 1

    def go_on(self) -> "subprocess.Popen[bytes]":
        """The process; one that has ended is started anew."""
        assert self.process is not None
        if self.process.poll() is not None:
            self._end()
            self.start()
        return self.process

    def tell(self, command: str) -> None:
        """Told to libfiu in the process; a new one is told when it ends over that."""
        while True:
            process = self.go_on()
            options = ["-f", f"{self.ground.home}/fiu", "-c", command, str(process.pid)]
            told = subprocess.Popen([self.control, *options], start_new_session=True)
            until(lambda told=told, process=process: told.poll() is not None or process.poll() is not None)  # type: ignore[misc]
            if told.poll() == 0:
                return
            # Nobody reads what it writes any more.
            kill_group(told)
            assert process.poll() is not None, f"{command}: {told.returncode}"

    def _end(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def loop(ground: Ground) -> Iterator[Loop]:
    """It works, and nothing fails yet."""
    control = needed("fiu-ctrl", package="fiu-utils")
    found = [place for pattern in PLACES for place in Path("/").glob(pattern[1:])]
    if not found:
        lacking("libfiu's preload libraries are not installed: install the Debian package fiu-utils.")
    one = Loop(ground, control, ":".join(str(found[0] / name) for name in PRELOADS))
    one.start()
    yield one
    one._end()


@pytest.mark.fault(7, "libfiu: file calls of a whole process fail, or do half of it, at random")
@pytest.mark.timeout(3600)
def test_file_calls_that_fail_at_random_cost_nothing_but_time(ground: Ground, loop: Loop) -> None:
    for number in range(trials(300, 10)):
        names = FAILING[number % len(FAILING)]
        session = ground.session()
        Chunk.objects.filter(session=session).update(hinted_at=None)
        how = f"probability={ground.rng.choice(ODDS)},failinfo={ground.rng.choice(ERRORS)}"
        loop.tell(f"enable_random name={names},{how}")
        over = time.monotonic() + LASTS_SECONDS
        until(lambda s=session, over=over: _was_tried(s.pk, loop) or time.monotonic() > over, every=0.05)
        loop.tell(f"disable name={names}")
        ground.strike(session)
        ground.note_recoveries()
    assert " waits" in (ground.home / "loop.log").read_text(), "calls failed, and it says so"
    # What failed last may end it only now.
    until(lambda: loop.go_on() and ground.has_recovered(), every=0.05)
    ground.finish(inline=False)


def _was_tried(session: object, loop: Loop) -> bool:
    """It was claimed and let go (or the process did not outlive it)."""
    assert loop.process is not None
    return Chunk.objects.filter(session=session, fence__gt=1).exists() or loop.process.poll() is not None
