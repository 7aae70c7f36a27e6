"""Answers that never keep the asker waiting: looked up in the background, kept for a moment."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from lucid_sessions.patience import Patience

Answer = TypeVar("Answer")


WATCHED_EVERY = 0.1
LONGEST_STEP = 0.5


class Watched(Generic[Answer]):
    """The latest answer of a question that may hang.

    At most one thread asks at a time. A question that has hung for `patience` seconds counts as answered
    by `otherwise`, and so does one that was never answered. Time in which we stood still is not counted.
    """

    def __init__(
        self,
        ask: Callable[[], Answer],
        *,
        otherwise: Answer,
        fresh: float = 1.5,
        patience: float = 1.5,
        rest: float = 0.0,
    ) -> None:
        """An answer serves for `fresh` seconds, or `rest` times as long as it took, if longer."""
        self._ask = ask
        self._otherwise = otherwise
        self._fresh = fresh
        self._rest = rest
        self._patience = patience
        self._lock = threading.Lock()
        self._answer = otherwise
        self._due = -1e9
        self._question = 0
        self._is_watched = self._hangs = False
        self._done = threading.Event()
        self._done.set()

    def begin(self) -> None:
        """Ask again in the background when the last answer has grown old."""
        with self._lock:
            now = time.monotonic()
            if not self._done.is_set() or now < self._due:
                return
            self._question += 1
            self._is_watched = self._hangs = False
            self._done.clear()
        try:
            threading.Thread(target=self._look, name="watched", daemon=True).start()
        except RuntimeError:  # no room for one more just now
            self._note(self._otherwise, took=0.0)

    def latest(self, *, within: float) -> Answer:
        """The answer, after waiting at most `within` seconds for a fresh one."""
        self.begin()
        if not self._done.wait(max(0.0, within)):
            self._watch()
        with self._lock:
            return self._otherwise if self._hangs else self._answer

    def _watch(self) -> None:
        """From now on somebody counts how long this question takes."""
        with self._lock:
            if self._is_watched or self._done.is_set():
                return
            self._is_watched = True
            watcher = threading.Thread(target=self._count, args=(self._question,), daemon=True)
        try:
            watcher.start()
        except RuntimeError:  # no room for one more just now
            self._hangs = True

    def _count(self, question: int) -> None:
        patience = Patience(self._patience, longest_step=LONGEST_STEP)
        while not self._done.wait(WATCHED_EVERY) and question == self._question:
            if patience.is_over():
                with self._lock:
                    self._hangs = question == self._question and not self._done.is_set()
                return

    def _look(self) -> None:
        began = time.monotonic()
        try:
            answer = self._ask()
        except Exception:  # noqa: BLE001 - whatever a driver raises, the thing does not answer
            answer = self._otherwise
        self._note(answer, took=time.monotonic() - began)

    def _note(self, answer: Answer, *, took: float) -> None:
        with self._lock:
            self._answer, self._hangs = answer, False
            self._due = time.monotonic() + max(self._fresh, self._rest * took)
            self._done.set()
