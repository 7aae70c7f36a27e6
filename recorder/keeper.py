"""One child, seen from the supervisor: its orders go in, its news come out, its silence is noticed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from recorder.orders import Orders
from recorder.silence import Silence
from recorder.xvfb import forget

# What a child needs to find libraries and displays; passwords in the supervisor's environment stay here.
GENERAL = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
PASSED_ON = (*GENERAL, "XAUTHORITY", "XDG_RUNTIME_DIR", "PULSE_SERVER", "PULSE_COOKIE")
CODE = str(Path(__file__).resolve().parent.parent)
OWN = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Whole pictures come and go in two threads, and what is freed goes back to the system. By itself glibc
    # keeps two of 1920x1080 for what may come, and has a heap for each thread.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "500000",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class News:
    """One line that a child said."""

    kind: str
    reason: str
    facts: dict[str, Any]


class Keeper:
    """A running child and the two pipes to it. Nothing here waits for the child."""

    def __init__(self, orders: Orders) -> None:
        self.take = orders.take
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | OWN
        # In an image the packages lie where only this variable leads.
        packages = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join([CODE, *(path for path in packages if path)])
        self._child = subprocess.Popen(
            [sys.executable, "-m", "recorder.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor alone
        )
        assert self._child.stdin is not None  # noqa: S101 -- asked for above
        os.set_blocking(self._child.stdin.fileno(), False)
        self.started, self._silence = time.monotonic(), Silence()
        self._news: deque[News] = deque()
        self._said: dict[str, str] = {}
        self._reader = Thread(target=self._listen, name=f"child {self._child.pid}", daemon=True)
        self._reader.start()
        self.say(orders.to_json())

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        return self._child.poll()

    def say(self, line: str, *, about: str = "recording") -> None:
        """Tell the child something, once: repeating the last line about the same says nothing."""
        if line == self._said.get(about) or self._child.stdin is None:
            return
        with contextlib.suppress(OSError):  # a child that is gone is noticed by its exit
            os.write(self._child.stdin.fileno(), line.encode() + b"\n")
            self._said[about] = line

    def news(self) -> Iterator[News]:
        """What the child said since the last time."""
        while self._news:
            yield self._news.popleft()

    def silent_for(self) -> float:
        """Seconds since the child was last heard, for whoever asks often."""
        return self._silence.seconds()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(signal.SIGKILL)

    def bury(self) -> None:
        """After its exit: read its last words, close the pipes, remove what it could not remove itself."""
        self._reader.join(timeout=2)
        forget(self.pid)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _listen(self) -> None:
        assert self._child.stdout is not None  # noqa: S101 -- asked for in __init__
        for line in self._child.stdout:
            self._silence.broken()
            with contextlib.suppress(ValueError, TypeError):
                self._news.append(News(**json.loads(line)))


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"the recorder ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"the recorder was killed by {signal.Signals(-code).name}"
    return f"the recorder was killed by signal {-code}"
