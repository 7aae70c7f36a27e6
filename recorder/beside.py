"""What waits for the disk, beside what must not wait for it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread


class Beside:
    """Does things in a thread of its own, one after the other. What goes wrong is raised by a later call."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._error: Exception | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done."""
        return self._thread is None or not self._thread.is_alive()

    def do(self, act: Callable[[], object]) -> None:
        """Begin with this, once what came before is done."""
        self.settle()
        self._thread = Thread(target=self._run, args=(act,), name="disk")
        self._thread.start()

    def look(self) -> None:
        """Raise what has gone wrong; nothing is waited for."""
        if self.is_idle:
            self.settle()

    def settle(self) -> None:
        """Wait until everything is done."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 -- raised again where somebody hears it
            self._error = error
