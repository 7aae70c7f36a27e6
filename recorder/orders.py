"""What the supervisor tells a child, and what a child tells back: lines of JSON and single words."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from threading import Lock, Thread
from typing import IO, Any, Literal
from uuid import UUID

from recorder.names import Ending
from recorder.settings import Settings
from recorder.sources import NO_ACCESS
from recorder.sources.target import Access

Command = Literal["record", "pause", "stop"]
COMMANDS: dict[str, Command] = {"resume": "record", "pause": "pause"}
ATTENTION = {"watched": True, "unwatched": False}


@dataclass(frozen=True)
class Missing:
    """What lies between the previous take and this one.

    `tracks` are those that stand elsewhere than the screen: what a crash leaves of each ends by itself.
    """

    from_us: int
    reason: str
    uncertain: bool
    tracks: dict[str, int] = field(default_factory=dict)

    def since(self, track: str) -> int:
        """From when a track is missing, microseconds."""
        return self.tracks.get(track, self.from_us)


@dataclass(frozen=True)
class Orders:
    """Everything a child needs to record one take; it comes on standard input, never in the arguments.

    `origin_ns` is the timeline's zero on CLOCK_MONOTONIC; None: the first picture is zero.
    `resume_us` is where each track of a source with a timeline of its own goes on. `access` holds the
    password of another machine's desktop.
    """

    session: UUID
    take: int
    spool: str
    source: str
    settings: Settings
    host: str
    origin_ns: int | None = None
    resume_us: dict[str, int] = field(default_factory=dict)
    missing: Missing | None = None
    access: Access = NO_ACCESS

    def to_json(self) -> str:
        """One line."""
        facts = {**asdict(self), "session": str(self.session), "settings": self.settings.to_json()}
        return json.dumps(facts)

    @classmethod
    def from_json(cls, line: str) -> Orders:
        """The orders in a line."""
        facts = json.loads(line)
        facts["session"] = UUID(facts["session"])
        facts["settings"] = Settings.from_json(facts["settings"])
        facts["missing"] = Missing(**facts["missing"]) if facts["missing"] else None
        access = facts["access"]
        facts["access"] = Access(access["secret"], tuple(access["allowed"]))
        return cls(**facts)


class Mailbox:
    """The command in force. End of input means that the supervisor is gone: the take is interrupted.

    `ending` says what a stop means: the recording is over, or only this take is. `watched`: somebody follows
    the recording while it is made.
    """

    def __init__(self, lines: IO[str], *, on_stop: Callable[[], None]) -> None:
        self.command: Command = "record"
        self.why = "stopped"
        self.ending: Ending = "ended"
        self.watched = False
        self._lines, self._on_stop = lines, on_stop
        Thread(target=self._listen, name="commands", daemon=True).start()

    def stop(self, why: str, *, ending: Ending) -> None:
        """Have the recording stop, with this as the reason; the first reason stands."""
        if self.command != "stop":
            self.why, self.ending, self.command = why, ending, "stop"
            self._on_stop()

    def goes_on(self) -> None:
        """Something was done: after a stop, closing may take as long again from now."""
        if self.command == "stop":
            self._on_stop()

    def supervisor_is_gone(self) -> None:
        """Nobody asks for this take any more: end it so that another can continue."""
        self.stop("the supervisor went away", ending="interrupted")

    def _listen(self) -> None:
        for line in self._lines:
            word = line.strip()
            if word == "stop":
                self.stop("stopped", ending="ended")
            elif word == "interrupt":
                self.stop("the recorder was shut down", ending="interrupted")
            elif word in ATTENTION:
                self.watched = ATTENTION[word]
            elif word in COMMANDS and self.command != "stop":
                self.command = COMMANDS[word]
        self.supervisor_is_gone()


class Reporter:
    """Tells the supervisor what happens, without ever waiting for it.

    A line is shorter than PIPE_BUF, so a write to the (non-blocking) pipe is whole or not at all. What does
    not fit waits for the next line; figures that nobody reads are dropped.
    """

    def __init__(self, write: Callable[[bytes], object], *, on_broken: Callable[[], None]) -> None:
        self._write, self._on_broken = write, on_broken
        self._waiting: deque[bytes] = deque()
        self._lock = Lock()

    def tell(self, kind: str, *, reason: str = "", **facts: Any) -> None:
        """Report something that must arrive."""
        with self._lock:
            self._waiting.append(_line(kind, reason, facts))
            self._flush()

    def flush(self, seconds: float) -> bool:
        """Whether everything was told within this time: the last words before the end."""
        until = time.monotonic() + seconds
        while True:
            with self._lock:
                self._flush()
            if not self._waiting or time.monotonic() > until:
                return not self._waiting
            time.sleep(0.02)

    def beat(self, **facts: Any) -> None:
        """Report being alive, with figures."""
        with self._lock:
            self._flush()
            if not self._waiting:
                self._send(_line("heartbeat", "", facts))

    def _flush(self) -> None:
        while self._waiting and self._send(self._waiting[0]):
            self._waiting.popleft()

    def _send(self, line: bytes) -> bool:
        try:
            self._write(line)
        except BlockingIOError:
            return False
        except OSError:
            self._on_broken()
        return True


def _line(kind: str, reason: str, facts: dict[str, Any]) -> bytes:
    return json.dumps({"kind": kind, "reason": reason[:1500], "facts": facts}).encode() + b"\n"
