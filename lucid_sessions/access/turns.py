"""Waiting in a queue for the processor, instead of all at once."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
# Of one process: one computes, and another waits for the database meanwhile. More only get into each other's
# way, measured: more processor time for each request, and each waits longer.
AT_ONCE = 2
# What takes longer than this waits for something, and does not keep others from computing.
PATIENCE_SECONDS = 0.05
# Their answers are to come at once, whatever everybody else waits for.
AT_ONCE_ALWAYS = ("/health", "/api/v1/health")
# The visit that this thread is on, if it is on one.
_own = threading.local()


class Visit:
    """One thread's way through the places; visits are in the order in which they began."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        self.number = next(self._numbers)
        self.called = threading.Semaphore(0)

    def __lt__(self, other: "Visit") -> bool:
        return self.number < other.number


class Places:
    """A few places, and a queue before them: who came first goes in first."""

    def __init__(self, number: int, *, patience: float) -> None:
        self._number, self._patience = number, patience
        # Who is inside, and since when; the first has been there for longest.
        self._inside: dict[Visit, float] = {}
        # A heap: who comes back from waiting for something goes before those who came later.
        self._queue: list[Visit] = []
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many stand in the queue."""
        return len(self._queue)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Inside, one of the places is ours, until somebody else has more use for it."""
        visit = Visit()
        self._enter(visit)
        _own.places, _own.visit = self, visit
        try:
            yield
        finally:
            del _own.places, _own.visit
            self._leave(visit)

    @contextmanager
    def left(self, visit: Visit) -> Iterator[None]:
        """Inside, the place of this visit is somebody else's."""
        self._leave(visit)
        try:
            yield
        finally:
            self._enter(visit)

    def _enter(self, visit: Visit) -> None:
        with self._lock:
            if len(self._inside) < self._number:
                self._inside[visit] = time.monotonic()
                return
            heapq.heappush(self._queue, visit)
        while not visit.called.acquire(timeout=self._patience):
            self._take_over()

    def _take_over(self) -> None:
        """Whoever has been inside for too long is waiting, not computing: the place goes to the next one."""
        with self._lock:
            oldest = next(iter(self._inside), None)
            if oldest is not None and time.monotonic() - self._inside[oldest] >= self._patience:
                del self._inside[oldest]
                self._let_in()

    def _leave(self, visit: Visit) -> None:
        with self._lock:
            if self._inside.pop(visit, None) is not None:
                self._let_in()

    def _let_in(self) -> None:
        if self._queue:
            visit = heapq.heappop(self._queue)
            self._inside[visit] = time.monotonic()
            visit.called.release()


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


@contextmanager
def aside() -> Iterator[None]:
    """Inside, this thread waits for something, and its place is another's; then it has the next one."""
    places = getattr(_own, "places", None)
    if places is None:
        yield
        return
    with places.left(_own.visit):
        yield
