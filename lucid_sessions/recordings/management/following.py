"""Watching one session from its start to its seal, on a terminal or in plain lines."""

import signal
import time
from types import TracebackType
from typing import Any, Self

from lucid_sessions.recordings import progress
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings.sessions import stop

from .command import CHECK_FAILED, DONE, Command

EVERY_SECONDS = 0.5
NAPS = 10  # within that: a nap goes on after Ctrl-C
# A session that no recorder takes for this long needs a word.
UNTAKEN_SECONDS = 15.0


class CtrlC:
    """Notes that somebody has pressed Ctrl-C. Within it that ends nothing by itself, however often.

    Enter it before there is a session: from then on whoever presses it means the session.
    """

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:  # as shells have it for what runs in the background
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: Any) -> None:
        self.pressed = True

    def await_it(self, seconds: float) -> None:
        """Return as soon as it has been pressed, or after so long."""
        until = time.monotonic() + seconds
        while not self.pressed and time.monotonic() < until:
            time.sleep(seconds / NAPS)


def follow(command: Command, session: Session, *, ctrl_c: CtrlC) -> int:
    """Print progress until the session is sealed; Ctrl-C stops the recording and goes on watching.

    On a terminal that is one line which changes; elsewhere a line for each change.
    """
    began = started = time.monotonic()
    told = _LiveLine(command) if command.stderr.isatty() else _Lines(command)
    stopped = False
    while True:
        if ctrl_c.pressed and not stopped:
            stopped = True
            command.stderr.write("Stopping the recording; what was recorded is still being archived.")
            stop(session)
        now = progress.of(session)
        if not command.as_json:
            told.tell(now, time.monotonic() - started)
        if now.over:
            break
        if now.status == Status.STARTING and time.monotonic() - began > UNTAKEN_SECONDS:
            command.stderr.write(
                "No recorder has taken it yet: is `make run` or `manage.py recorder` running?"
            )
            began = time.monotonic()
        if stopped:
            time.sleep(EVERY_SECONDS)
        else:
            ctrl_c.await_it(EVERY_SECONDS)
    told.end()
    text = f'{session.pk}  "{session.name}" {now.status}' + (f": {now.reason}" if now.reason else "")
    command.tell(text, session=session.pk, status=now.status, reason=now.reason, chunks=now.chunks)
    return DONE if now.status == Status.COMPLETED else CHECK_FAILED


class _Lines:
    """A line whenever something changed."""

    def __init__(self, command: Command) -> None:
        self._command, self._shown = command, ""

    def tell(self, now: progress.Progress, _elapsed: float) -> None:
        if str(now) != self._shown:
            self._command.stderr.write(str(now), ending="\n")
        self._shown = str(now)

    def end(self) -> None:
        pass


class _LiveLine:
    """One line, written over again and again."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def tell(self, now: progress.Progress, elapsed: float) -> None:
        # Back to the beginning of the line, and clear it.
        self._command.stderr.write(f"\r\x1b[K{now.line(elapsed)}", style_func=str, ending="")
        self._command.stderr.flush()

    def end(self) -> None:
        self._command.stderr.write("", ending="\n")
