"""One supervised program: in a process group of its own, stopped within a bound, with nothing left of it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lucid_sessions.patience import Patience

LEASH = Path(__file__).with_name("leash.py")
# Waits between restarts: doubling from the first to the longest, and from the first again after good health.
FIRST_WAIT = 0.5
LONGEST_WAIT = 5.0
HEALTHY_SECONDS = 10.0
LOG_BYTES = 16 * 1024 * 1024
# What was killed is gone within milliseconds, or when the kernel lets it: nobody waits for ever.
DYING_SECONDS = 10.0
STOPPED_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Program:
    """What to run, and how it wants to be stopped.

    `orphaned` is sent when the supervisor is killed: SIGTERM where an orderly end is worth having,
    SIGKILL where the engine makes good a sudden death anyway.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    orphaned: signal.Signals = signal.SIGKILL
    stop_seconds: float = 10.0


@dataclass
class Child:
    """A program and its process, when it has one. Start it from a thread that lives as long as we do."""

    program: Program
    # None: it writes where we write.
    log: Path | None
    restarts: int = 0
    _running: "subprocess.Popen[bytes] | None" = None
    _began: float = 0.0
    _seen: float = 0.0
    _wait: float = FIRST_WAIT
    _due: float = field(default=0.0)

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""
        return self._running.pid if self._running else None

    def start(self) -> None:
        """The program runs, leashed to this process."""
        command = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), str(int(self.program.orphaned))]
        with contextlib.ExitStack() as opened:
            out = opened.enter_context(_fresh(self.log)) if self.log else None
            self._running = subprocess.Popen(
                [*command, *self.program.command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT if out else None,
                env=dict(self.program.environment),
                cwd=self.program.directory,
                start_new_session=True,
            )
        self._began = self._seen = time.monotonic()

    def ended(self) -> int | None:
        """Its exit status (negative: the signal that ended it), once; None while it runs or waits."""
        if self._running is None:
            return None
        if (status := self._running.poll()) is None:
            self._seen = time.monotonic()
            return None
        self._sweep()
        self._running = None
        if self._lasted:
            self._wait = FIRST_WAIT
        self._due = time.monotonic() + self._wait
        return status

    @property
    def keeps_ending(self) -> bool:
        """True from its second restart in a row on, until it has run for a while."""
        return self._wait > 2 * FIRST_WAIT and not (self._running is not None and self._lasted)

    @property
    def _lasted(self) -> bool:
        """Whether it was seen to run for a while: when we find it ended, that may be long ago."""
        return self._seen - self._began > HEALTHY_SECONDS

    @property
    def wait(self) -> float:
        """Seconds from its end to its next start."""
        return self._wait

    @property
    def restart_in(self) -> float:
        """Seconds until `restart_when_due` starts it again."""
        return max(0.0, self._due - time.monotonic())

    def restart_when_due(self) -> None:
        """Start an ended program again, once its wait is over; the next wait is twice as long."""
        if self._running is None and self._due and not self.restart_in:
            self._wait = min(LONGEST_WAIT, self._wait * 2)
            self._due = 0.0
            self.restarts += 1
            self.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM; it is not started again."""
        self._due = 0.0
        if self._running:
            self._running.terminate()

    def wait_stopped(self) -> bool:
        """True when it stopped by itself within its bound; else it, and what it started, was killed.

        Time in which we stood still it may have had as little as we.
        """
        if self._running is None:
            return True
        patience = Patience(self.program.stop_seconds)
        while self._running.poll() is None and not patience.is_over():
            time.sleep(STOPPED_LOOK_SECONDS)
        in_time = self._running.poll() is not None
        self.kill()
        return in_time

    def kill(self) -> None:
        """It, and whatever is left in its process group, is gone when this returns."""
        self._due = 0.0
        if self._running:
            self._sweep()
            self._running.wait()
            _await_end_of_group(self._running.pid)
            self._running = None

    def _sweep(self) -> None:
        if self._running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._running.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The last line of its log; nothing when it has none."""
        if self.log is None or not self.log.is_file():
            return ""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _await_end_of_group(group: int) -> None:
    """Return once none of its processes is left; what was killed takes a moment to die."""
    deadline = time.monotonic() + DYING_SECONDS
    while time.monotonic() < deadline:
        # The first process of a container inherits those whose parents are gone.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-group, os.WNOHANG)
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.005)


def _fresh(log: Path) -> IO[bytes]:
    """The log, open for appending; one that has grown large steps aside for a new one."""
    if log.is_file() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log.open("ab")
