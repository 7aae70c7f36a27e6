"""What the supervisor needs to know from outside, and tells: the database's side of recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

from recorder.settings import Settings

Desired = Literal["record", "pause", "stop"]
EventKind = Literal["connected", "recording", "paused", "ended", "failed", "statistics"]
NO_TAKE = 0


@dataclass(frozen=True)
class Wanted:
    """What one session should be doing on this host.

    `take` is the take that this host holds, or None when the session may be claimed. `watched`: somebody
    follows it while it is recorded, so that segments have to come soon. `started_wall_ms` is the wall clock
    when its first take began, None where that is not known.
    """

    session: UUID
    desired: Desired
    source: str
    settings: Settings
    take: int | None = None
    watched: bool = False
    started_wall_ms: int | None = None


@dataclass(frozen=True)
class Tenure:
    """A won claim: the new take's number (from 1) and where the session's timeline stands.

    `started_wall_ms` is the wall clock when the session's first take began (for take 1: now).
    `known_end_us` is the latest end of any screen segment already known outside this spool, None without one.
    `secret` is the password of the desktop to connect to; it goes to the child and nowhere else.
    """

    take: int
    started_wall_ms: int
    known_end_us: int | None = None
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Event:
    """Something that happened to a take, in words, with figures.

    connected   another machine's desktop is open; the facts say which server it is and how that was checked
    recording   frames are being recorded (also after a pause)
    paused      recording is paused; the segment before is committed
    ended       over as wished: stopped, maximum duration, end of the file
    failed      over against the wish; `reason` names the thing and the fix. `facts["refused"]` is true and
                the take is 0 when this host did not admit the session: nothing was claimed, it tries again
    statistics  about every ten seconds while recording, and when a lost take is continued; may be dropped
    """

    kind: EventKind
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class NotYet(Exception):
    """Something has to be done first, and others are doing it: to be reported again, without a word."""


class View(Protocol):
    """The supervisor's window on the world. Any method may raise: recording goes on and it is called again.

    Called from the supervisor's thread only: who waits for a network here has it look after nobody.
    """

    def wanted(self) -> Sequence[Wanted]:
        """The sessions that this host should look after now."""
        ...

    def claim(self, session: UUID) -> Tenure | None:
        """Claim the session for a new take of this host, conditionally; None when another host won."""
        ...

    def report(self, session: UUID, take: int, event: Event) -> None:
        """Note what happened; delivered at least once, in order within a session."""
        ...

    def beat(self) -> None:
        """Renew this host's lease; called every two seconds."""
        ...
