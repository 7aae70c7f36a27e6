"""What was just verified and decrypted, kept in memory for the moment in which players ask for it again.

A player asks for the head of a segment and then for the rest of it, and many watch the same segment at once.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class _Held:
    content: bytes
    until: float


class Opened:
    """Contents by key: at most `most` bytes in all, each for `seconds`; askers share an opening."""

    def __init__(self, *, most: int, seconds: float, at_once: int = 2) -> None:
        """`at_once` different contents are opened at the same time: each costs several times its length."""
        self.most = most
        self._seconds = seconds
        self._held: OrderedDict[object, _Held] = OrderedDict()
        self._opening: dict[object, threading.Event] = {}
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(at_once)
        self._sweeper: threading.Timer | None = None

    def get(self, key: object, length: int, *, open_: Callable[[], bytes]) -> bytes:
        """The content under `key`, of about `length` bytes; `open_` is called if nobody has just done so."""
        while True:
            with self._lock:
                known = self._held.get(key)
                if known is not None and known.until > time.monotonic():
                    self._held.move_to_end(key)
                    return known.content
                others = self._opening.get(key)
                if others is None:
                    self._opening[key] = threading.Event()
                    break
            others.wait()
        return self._open(key, length, open_)

    def _open(self, key: object, length: int, open_: Callable[[], bytes]) -> bytes:
        try:
            with self._turns:
                with self._lock:
                    self._make_room(length)
                content = open_()
                self._keep(key, content)
            return content
        finally:
            with self._lock:
                # Those who waited for one that failed, or was too large to keep, try for themselves.
                self._opening.pop(key).set()

    def _keep(self, key: object, content: bytes) -> None:
        if len(content) > self.most:
            return
        with self._lock:
            self._make_room(len(content))
            self._held[key] = _Held(content, time.monotonic() + self._seconds)
            if self._sweeper is None:
                self._sweep_later()

    def _make_room(self, length: int) -> None:
        """Before the content is there, not after: old and new together would cost twice as much."""
        room = self.most - length
        while self._held and sum(len(one.content) for one in self._held.values()) > max(0, room):
            self._held.popitem(last=False)

    def _sweep_later(self) -> None:
        self._sweeper = threading.Timer(self._seconds, self._sweep)
        self._sweeper.daemon = True
        self._sweeper.start()

    def _sweep(self) -> None:
        """Nothing stays because nobody asks any more."""
        with self._lock:
            now = time.monotonic()
            for key in [key for key, one in self._held.items() if one.until <= now]:
                del self._held[key]
            self._sweeper = None
            if self._held:
                self._sweep_later()

    def forget(self) -> None:
        """Nothing is held any more."""
        with self._lock:
            self._held.clear()
