"""Waiting in a queue instead of all at once: for the processor, and for SQLite's one writer."""

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from django.db import connection

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
# Of one process: one computes, and another waits for the database meanwhile. More only get into each other's
# way, measured: more processor time for each request, and each waits longer.
AT_ONCE = 2
# What takes longer than this waits for something, and does not keep others from computing.
PATIENCE_SECONDS = 0.05
# Their answers are to come at once, whatever everybody else waits for.
AT_ONCE_ALWAYS = ("/health", "/api/v1/health")
_writer = threading.Lock()
# How this thread leaves the place that it has, if it has one.
_own = threading.local()


class Places:
    """A few places, and a queue before them: who came first goes in first."""

    def __init__(self, number: int, *, patience: float) -> None:
        self._number, self._patience = number, patience
        # Who is inside, and since when; the first has been there for longest.
        self._inside: dict[object, float] = {}
        self._queue: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many stand in the queue."""
        return len(self._queue)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Inside, one of the places is ours, until somebody else has more use for it."""
        ticket = threading.Lock()
        ticket.acquire()
        with self._lock:
            if len(self._inside) < self._number:
                self._inside[ticket] = time.monotonic()
            else:
                self._queue.append(ticket)
        while ticket not in self._inside and not ticket.acquire(timeout=self._patience):
            self._take_over()
        _own.leave = partial(self._leave, ticket)
        try:
            yield
        finally:
            del _own.leave
            self._leave(ticket)

    def _take_over(self) -> None:
        """Whoever has been inside for too long is waiting, not computing: the place goes to the next one."""
        with self._lock:
            oldest = next(iter(self._inside), None)
            if oldest is not None and time.monotonic() - self._inside[oldest] >= self._patience:
                del self._inside[oldest]
                self._let_in()

    def _leave(self, ticket: object) -> None:
        with self._lock:
            if self._inside.pop(ticket, None) is not None:
                self._let_in()

    def _let_in(self) -> None:
        if self._queue:
            ticket = self._queue.popleft()
            self._inside[ticket] = time.monotonic()
            ticket.release()


class Turns:
    """A WSGI application that works out a few answers at a time; sending them is not waited for."""

    def __init__(self, application: Wsgi, *, patience: float = PATIENCE_SECONDS) -> None:
        self.application = application
        self._places = Places(AT_ONCE, patience=patience)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer of the application."""
        if environ.get("PATH_INFO", "").startswith(AT_ONCE_ALWAYS):
            return _whole(self.application(environ, start_response))
        with self._places.one():
            return _whole(self.application(environ, start_response))


def _whole(answer: Iterable[bytes]) -> Iterable[bytes]:
    """An answer that is all there already as a list, which granian sends without asking for its pieces."""
    if getattr(answer, "streaming", True) or not hasattr(answer, "content"):
        return answer
    pieces = [answer.content]
    answer.close()  # type: ignore[attr-defined]  # Django's
    return pieces


def step_aside() -> None:
    """This thread is about to wait: it leaves its place to the next in the queue, and goes on without one."""
    leave = getattr(_own, "leave", None)
    if leave is not None:
        leave()


@contextmanager
def writing() -> Iterator[None]:
    """Inside, this thread alone writes to SQLite, of all processes that ask here; others have no such limit.

    At SQLite's own lock writers sleep, longer each time, and whoever comes last may well be first.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    if not _writer.acquire(blocking=False):
        step_aside()
        _writer.acquire()
    try:
        with _alone(Path(connection.settings_dict["NAME"]).parent):
            yield
    finally:
        _writer.release()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Of several processes; SQLite's own lock still stands between us and everybody else."""
    if not directory.is_absolute():  # a database in memory
        yield
        return
    descriptor = _opened(directory, os.getpid())
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        step_aside()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@cache
def _opened(directory: Path, _process: int) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
