"""What takes its time, beside what must not wait for it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Beside:
    """Does things in a thread of its own, one after the other. What goes wrong is raised by a later call.

    The caller may be so many things `ahead`; then it waits. The thread is so much `nicer` than the caller's
    (nice(2)), to which it leaves the processor then.
    """

    def __init__(self, *, ahead: int = 0, nicer: int = 0) -> None:
        self._ahead = ahead
        # On Linux it is the thread alone that becomes nicer.
        self._pool = ThreadPoolExecutor(1, "beside", initializer=os.nice, initargs=(nicer,))
        self._begun: deque[Future[object]] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done."""
        return all(one.done() for one in self._begun)

    def do(self, act: Callable[[], object]) -> None:
        """Do this after what came before."""
        self._wait_for_all_but(self._ahead)
        self._begun.append(self._pool.submit(act))

    def look(self) -> None:
        """Raise what has gone wrong; nothing is waited for."""
        while self._begun and self._begun[0].done():
            self._begun.popleft().result()

    def settle(self) -> None:
        """Wait until everything is done."""
        self._wait_for_all_but(0)

    def _wait_for_all_but(self, count: int) -> None:
        while len(self._begun) > count:
            self._begun.popleft().result()
