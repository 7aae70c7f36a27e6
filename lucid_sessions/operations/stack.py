"""Several programs as one: started in order, kept running, stopped in the reverse order.

    with Stack(programs, logs=..., say=print) as stack:
        stack.start()
        while ...:
            stack.tend()

Everything happens in the caller's thread. Leaving the block stops all; a KeyboardInterrupt while it
does so kills what is still there.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lucid_sessions.errors import Retryable
from lucid_sessions.patience import Patience

from .children import Child, Program

TICK_SECONDS = 0.2
# In LUCID_HOME, while programs keep ending: their names. A web server answers for those beside it.
KEEP_ENDING = "keep-ending"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stack:
    """The programs, and the processes that they have now."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        logs: Path | None,
        say: Callable[[str], None],
        home: Path | None = None,
    ) -> None:
        """Nothing runs yet; `logs` is where each program's output goes (None: to ours).

        Which programs keep ending is written into `home`, for whoever answers for all of them.
        """
        self.children = [Child(one, logs / f"{one.name}.log" if logs else None) for one in programs]
        self.ticked = time.monotonic()
        self._say = say
        self._told = home / KEEP_ENDING if home else None
        self._keep_ending: list[str] = []
        if self._told:
            # An earlier run's.
            self._told.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *names: str) -> None:
        """The named programs (none named: all) run."""
        for child in self.children:
            if (not names or child.program.name in names) and child.pid is None:
                child.start()

    def tend(self) -> None:
        """Start again what has ended, each with its own growing wait; call it often."""
        self.ticked = time.monotonic()
        for child in self.children:
            status = child.ended()
            if status is not None:
                self._say(_obituary(child, status))
            child.restart_when_due()
        self._tell()

    @property
    def keep_ending(self) -> list[str]:
        """The names of the programs that end again and again."""
        return [child.program.name for child in self.children if child.keeps_ending]

    def _tell(self) -> None:
        if self._told is None or self._keep_ending == self.keep_ending:
            return
        self._keep_ending = self.keep_ending
        if self._keep_ending:
            self._told.write_text("\n".join(self._keep_ending))
        else:
            self._told.unlink(missing_ok=True)

    def wait_until(self, ready: Callable[[], bool], *, what: str, seconds: float) -> None:
        """Return once `ready()`; Retryable when that takes too long, or when a program keeps ending."""
        patience = Patience(seconds)
        while not ready():
            self.tend()
            for child in self.children:
                if child.restarts > 1:
                    raise Retryable(
                        f"{child.program.name} keeps ending: {child.last_words()}. See {child.log}."
                    )
            if patience.is_over():
                raise Retryable(f"{what} did not answer within {seconds:.0f} s.")
            time.sleep(TICK_SECONDS / 4)

    def child(self, name: str) -> Child:
        """The child that runs the program called `name`."""
        return next(child for child in self.children if child.program.name == name)

    def stop(self) -> None:
        """Nothing of it runs any more; interrupted while it waits, it kills the rest at once."""
        try:
            for child in reversed(self.children):
                child.ask_to_stop()
                if not child.wait_stopped():
                    self._say(
                        f"{child.program.name} did not stop in {child.program.stop_seconds:.0f} s: killed."
                    )
        except KeyboardInterrupt:
            self._say("Interrupted again: killing what is left.")
            self.kill()
            raise
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Nothing of it runs any more, at once."""
        with contextlib.suppress(ValueError):  # not in the main thread, where nothing can interrupt
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for child in self.children:
            child.kill()


def stop_on_signals() -> None:
    """From now on SIGTERM and a closed terminal interrupt as Ctrl-C does. Call it in the main thread."""
    for number in STOPS:
        signal.signal(number, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def hold_signals() -> None:
    """They wait, through an exec too, until `stop_on_signals` is called again."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def _obituary(child: Child, status: int) -> str:
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    see = f" See {child.log}." if child.log else ""
    return f"{child.program.name} {how}; it starts again in {child.wait:.1f} s.{see}"
