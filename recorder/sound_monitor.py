"""What a desktop plays: the samples of its default output, and that they are another device's by now.

A sound server moves whoever listens to an output that is unplugged on to its default input, which may be a
microphone; and leaves him at an output that is the default no more.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from threading import Thread
from typing import IO

from recorder.xvfb import WITH_US

MOVED = b"Stream moved to device"
CHANGED = b"'change' on server"
DEFAULT = b"Default Sink: "
ASK_WITHIN = 5.0
LATENCY_MS = 20
_ALL = 1 << 16  # bytes: a pipe holds no more


class SoundMonitor:
    """Samples as `rate` and `channels` say, 16 bits each, from the output that is the default now."""

    def __init__(self, environment: Mapping[str, str], *, rate: int, channels: int) -> None:
        self._environment = {**environment, "LC_ALL": "C"}  # what the programs say is read
        self.is_elsewhere = False
        argv = ["parec", "--device=@DEFAULT_MONITOR@", "--raw", "--format=s16le", "--verbose"]
        argv += [f"--rate={rate}", f"--channels={channels}", f"--latency-msec={LATENCY_MS}"]
        self._parec = self._run(argv, errors=subprocess.PIPE)
        os.set_blocking(_pipe(self._parec.stderr).fileno(), False)
        self._news = self._run(["pactl", "subscribe"], errors=subprocess.DEVNULL)
        Thread(target=self._follow, name="outputs", daemon=True).start()

    @property
    def has_ended(self) -> bool:
        """Whether the server has ended, or never let us listen."""
        return self._parec.poll() is not None

    def blocks(self, length: int) -> Iterator[bytes]:
        """Blocks of so many bytes; ends before the first that is not of the output that was the default."""
        while len(content := _pipe(self._parec.stdout).read(length)) == length:
            # It is said before anything of another device is handed on.
            self.is_elsewhere = self.is_elsewhere or MOVED in self._said()
            if self.is_elsewhere:
                return
            yield content

    def close(self) -> None:
        """Stop listening."""
        for program in (self._parec, self._news):
            program.kill()
            program.wait()

    def _said(self) -> bytes:
        with suppress(BlockingIOError):
            return os.read(_pipe(self._parec.stderr).fileno(), _ALL)
        return b""

    def _follow(self) -> None:
        """Runs in a thread until the server ends, or we do not listen any more."""
        at_first = self._default()
        for line in _pipe(self._news.stdout):
            if CHANGED in line and at_first and self._default() not in (b"", at_first):
                self.is_elsewhere = True
                return

    def _default(self) -> bytes:
        """The name of the default output; empty when the server does not tell."""
        with suppress(subprocess.TimeoutExpired):
            argv = [*WITH_US, "pactl", "info"]
            told = subprocess.run(
                argv, env=self._environment, capture_output=True, check=False, timeout=ASK_WITHIN
            )
            lines = told.stdout.splitlines()
            return next((line for line in lines if line.startswith(DEFAULT)), b"")
        return b""

    def _run(self, argv: list[str], *, errors: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*WITH_US, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=self._environment,
        )


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    assert end is not None  # noqa: S101 -- asked for in _run
    return end
