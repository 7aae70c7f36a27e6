"""Bounds how long a process takes to end, by time that it had, even when something hangs for ever."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from threading import Thread

from recorder.silence import Silence

LOOK_EVERY = 0.5
# What holds even this thread up, a system call with all of Python waiting for it, ends by a clock.
AT_LAST = 300.0
EXIT_STUCK = 1


class EndLimit:
    """Ends this process, with the traceback of each thread, `seconds` after the last `begin_anew`.

    Time in which the process stood still does not count: what is being closed could not go on either.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._silence: Silence | None = None

    def begin_anew(self) -> None:
        """From now on there is so much time, again."""
        faulthandler.dump_traceback_later(AT_LAST, exit=True, file=sys.stderr)
        if self._silence is not None:
            self._silence.broken()
            return
        self._silence = Silence()
        Thread(target=self._watch, args=(self._silence,), name="end limit", daemon=True).start()

    def _watch(self, silence: Silence) -> None:
        while silence.seconds() <= self._seconds:
            time.sleep(LOOK_EVERY)
        faulthandler.dump_traceback(file=sys.stderr)
        os._exit(EXIT_STUCK)
