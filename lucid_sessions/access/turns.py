"""Waiting in a queue instead of all at once: for the processor, and for SQLite's one writer."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
# Of one process: one computes, and some wait for the database meanwhile. Measured; more only get into each
# other's way, with a third more processor time for each request.
AT_ONCE = 4
# What takes longer than this waits for something, and does not keep others from computing.
PATIENCE_SECONDS = 0.05
# Their answers are to come at once, whatever everybody else waits for.
AT_ONCE_ALWAYS = ("/health", "/api/v1/health")
_writer = threading.Lock()


class Turns:
    """A WSGI application that works out a few answers at a time; sending them is not waited for."""

    def __init__(self, application: Wsgi, *, patience: float = PATIENCE_SECONDS) -> None:
        self._application, self._patience = application, patience
        self._places = threading.Semaphore(AT_ONCE)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer of the application."""
        if environ.get("PATH_INFO", "").startswith(AT_ONCE_ALWAYS):
            return self._application(environ, start_response)
        mine = self._places.acquire(timeout=self._patience)
        try:
            return self._application(environ, start_response)
        finally:
            if mine:
                self._places.release()


@contextmanager
def writing() -> Iterator[None]:
    """Inside, this thread alone of its process writes to SQLite; other databases have writers at once.

    At SQLite's own lock writers sleep, longer each time, and whoever comes last may well be first.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with _writer:
        yield
