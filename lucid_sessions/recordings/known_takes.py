"""What a scanner of a spool remembers of its takes: a quiet one costs one look, one that is over none.

Takes stay in the spool, their markers in them, as long as their session is kept. So what is remembered is
bounded by what lies there, and takes that are over are looked at seldom.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from recorder.spool import Spool

# A directory that has not changed for this long since it was listed needs no listing: times are coarse.
QUIET_SECONDS = 2.0
REST_SECONDS = 30.0

Place = tuple[UUID, int, Path]
"""A session, its take, and the take's directory."""


@dataclass
class Directory:
    """What is known of one take's directory."""

    session: UUID
    changed_ns: int = -1
    since: float = 0.0
    quiet: bool = False
    # Something in it does not count yet, for want of a second copy.
    holds: bool = False
    # Of what lies there now.
    filed: set[str] = field(default_factory=set)

    def is_quiet(self, path: Path) -> bool:
        """True when the directory needs no listing."""
        changed = path.stat().st_mtime_ns
        if changed != self.changed_ns:
            self.changed_ns, self.since, self.quiet = changed, time.monotonic(), False
        return self.quiet

    @property
    def is_over(self) -> bool:
        """True when nothing more is to come: its picture has ended, and filed markers are left."""
        markers_only = all(name.endswith(".json") for name in self.filed)
        return self.quiet and not self.holds and markers_only and "closed_screen.json" in self.filed


@dataclass
class KnownTakes:
    """The takes of one spool, as one scanner knows them."""

    spool: Spool
    at: dict[Path, Directory] = field(default_factory=dict)
    # Sessions that are passed over, and until when.
    _resting: dict[UUID, float] = field(default_factory=dict)

    def due(self, only: UUID | None = None) -> list[Place]:
        """The takes to look at now: of one session, or of all that do not rest."""
        if only is None:
            now = time.monotonic()
            self._resting = {session: until for session, until in self._resting.items() if until > now}
            takes = list(self.spool.takes(but=self._resting))
        else:
            takes = list(self.spool.takes(only))
        for session, _, directory in takes:
            self.at.setdefault(directory, Directory(session))
        return takes

    def forget(self, takes: list[Place]) -> None:
        """These were all that was due: others have left the spool. Sessions whose takes are over rest."""
        there = {directory for _, _, directory in takes}
        busy = {session for session, _, directory in takes if not self.at[directory].is_over}
        until = time.monotonic() + REST_SECONDS
        self._resting |= {session: until for session, _, _ in takes if session not in busy}
        known = self.at.items()
        self.at = {path: one for path, one in known if path in there or one.session in self._resting}

    def drop(self, session: UUID) -> None:
        """Nothing of this one need be remembered."""
        self.at = {path: one for path, one in self.at.items() if one.session != session}

    @property
    def resting(self) -> set[UUID]:
        """Sessions that are passed over now: their takes are over, and nobody has told of another."""
        return set(self._resting)

    def wake(self, sessions: set[UUID]) -> None:
        """These are looked at next time; they are taken off the set, to which others may add."""
        while sessions:
            self._resting.pop(sessions.pop(), None)
