"""What a process may believe for a few seconds without asking the database again."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from django.conf import settings

Answer = TypeVar("Answer")
MOST = 10_000


class Memory(Generic[Answer]):
    """Answers by key, each for LUCID_TOKEN_CACHE_SECONDS; with 0 seconds it asks each time."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[float, Answer]] = {}
        self._lock = threading.Lock()

    def recall(self, key: object) -> Answer | None:
        """The answer that is still believed; None when there is none."""
        return self.recall_all([key])[0]

    def recall_all(self, keys: Iterable[object]) -> list[Answer | None]:
        """The same for each of the keys, in their order."""
        known, now = self._known.get, time.monotonic()
        if settings.LUCID_TOKEN_CACHE_SECONDS <= 0:
            return [None for _ in keys]  # also of what was noted while it was more
        return [found[1] if (found := known(key)) is not None and found[0] > now else None for key in keys]

    def note(self, key: object, answer: Answer) -> Answer:
        """The same answer, remembered."""
        seconds = settings.LUCID_TOKEN_CACHE_SECONDS
        if seconds > 0:
            with self._lock:
                if len(self._known) >= MOST:
                    self._known.clear()
                self._known[key] = (time.monotonic() + seconds, answer)
        return answer

    def or_ask(self, key: object, ask: Callable[[], Answer]) -> Answer:
        """The answer that is still believed, else the one that `ask` gives."""
        found = self.recall(key)
        return self.note(key, ask()) if found is None else found
