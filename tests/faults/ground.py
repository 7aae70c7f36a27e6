"""Where a fault is tried: an installation of its own, what it acknowledged, and the verdict at the end."""

import json
import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.recordings import intake, reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import ENDED, UNFINISHED
from lucid_sessions.recordings.models import Chunk, Session
from recorder.spool import sequence_of
from tests import factories
from tests.faults import oracle

SIZE = os.environ.get("LUCID_FAULTS", "ci")
FULL = SIZE == "full"
MOST = int(os.environ.get("LUCID_FAULTS_MOST", "10000"))
# Enough to show that a safeguard is missing.
BRIEF = 8
SEED = int(os.environ.get("LUCID_FAULTS_SEED", "3"))
DRAIN_SECONDS = float(os.environ.get("LUCID_FAULTS_DRAIN", "60"))
# Beat's tick in a full run; in CI the same work is done more often, to wait less.
TICK_SECONDS = reconcile.TICK_SECONDS if FULL else 0.5


def trials(full: int, ci: int) -> int:
    """How many trials this run makes of a fault."""
    if SIZE == "brief":
        return min(ci, BRIEF)
    return min(full, MOST) if FULL else ci


@dataclass
class Ground:
    """One fault's world and bookkeeping. Random choices come from `rng` only: a seed replays them."""

    world: Installation
    home: Path
    row: int = 0
    fault: str = ""
    rng: Random = field(default_factory=lambda: Random(SEED))
    acknowledged: dict[oracle.Place, bytes] = field(default_factory=dict)
    quarantined: set[oracle.Place] = field(default_factory=set)
    checkpoints: list[archive.Checkpoint] = field(default_factory=list)
    trials: int = 0
    # When the fault struck, by session; and how long it took from then until the session was sealed.
    struck: dict[UUID, float] = field(default_factory=dict)
    recoveries: list[float] = field(default_factory=list)
    extra: oracle.Findings = field(default_factory=oracle.Findings)

    def session(self, *, segments: int = 1, name: str = "", content: bytes | None = None) -> Session:
        """A session that is over, its segments acknowledged and filed, nothing processed."""
        session = factories.recorded_session(self.world, segments=0, name=name or f"trial {self.trials}")
        # `recorded_session` closed the track at 0: this one has more.
        (self.world.spool.take_directory(session.pk, 1) / "closed_screen.json").unlink()
        session.closures.all().delete()
        for counter in range(1, segments + 1):
            self.acknowledge(session, counter, content=content)
        factories.close(session, self.world, last_counter=segments)
        intake.Intake(self.world.spool).scan(session.pk)
        return session

    def acknowledge(self, session: Session, counter: int, *, content: bytes | None = None) -> Path:
        """One segment of the session's first take, durably in the spool."""
        content = factories.segment_bytes(1 + counter % 5) if content is None else content
        path = factories.acknowledge(session, self.world, counter=counter, content=content)
        self.acknowledged[session.pk, "screen", sequence_of(1, counter)] = content
        return path

    def ids(self, session: Session) -> list[UUID]:
        """The session's chunks in order."""
        return list(Chunk.objects.filter(session=session).order_by("sequence").values_list("pk", flat=True))

    def strike(self, session: Session | None = None) -> None:
        """A trial was made; recovery of its session counts from now."""
        self.trials += 1
        if session is not None:
            self.struck[session.pk] = time.monotonic()

    def remember_checkpoint(self) -> None:
        """Every later state of the log must be consistent with what is signed now."""
        checkpoint = self.world.log().checkpoint()
        if checkpoint is not None:
            self.checkpoints.append(checkpoint)

    def drain(self, *, inline: bool = True) -> None:
        """Everything that can go on goes on, by the reconciler's work or by workers that run; bounded."""
        scanner = intake.Intake(self.world.spool)
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            scanner.scan()
            if inline:
                self._let_time_pass()
                reconcile.work_inline(self.world)
            self._note_recoveries()
            left = Chunk.objects.filter(state__in=UNFINISHED, quarantined_at__isnull=True)
            if not left.exists() and not self.struck:
                return
            time.sleep(TICK_SECONDS if inline else 0.2)

    def _let_time_pass(self) -> None:
        """In CI the leases of the dead are over at once; a full run waits for them."""
        if not FULL:
            over = timezone.now() - timedelta(seconds=1)
            Chunk.objects.filter(token__gt="").update(lease_until=over)

    def _note_recoveries(self) -> None:
        over = Session.objects.filter(pk__in=list(self.struck), status__in=ENDED)
        for pk in over.values_list("pk", flat=True):
            self.recoveries.append(time.monotonic() - self.struck.pop(pk))

    def verdict(self) -> oracle.Findings:
        """What the oracle finds, with what the trials themselves found."""
        found = oracle.examine(
            self.world, self.acknowledged, checkpoints=self.checkpoints, quarantined=self.quarantined
        )
        for kind in ("lost", "duplicated", "undetected", "unfinished"):
            getattr(found, kind).extend(getattr(self.extra, kind))
        if self.struck:
            found.unfinished.append(f"{len(self.struck)} sessions are not sealed {DRAIN_SECONDS:g} s after")
        return found

    def finish(self, *, inline: bool = True) -> None:
        """Drain, examine, report; fails on any finding."""
        self.drain(inline=inline)
        found = self.verdict()
        self._report(found)
        assert not found.all, f"seed {SEED}, {self.trials} trials:\n" + "\n".join(found.all[:20])

    def _report(self, found: oracle.Findings) -> None:
        target = os.environ.get("LUCID_FAULTS_RESULTS")
        if not target or not self.fault:
            return
        facts: dict[str, Any] = {
            "row": self.row,
            "fault": self.fault,
            "trials": self.trials,
            "lost": len(found.lost),
            "duplicated": len(found.duplicated),
            "undetected": len(found.undetected) + len(found.unfinished),
            "recoveries": [round(one, 2) for one in self.recoveries],
            "seed": SEED,
            "full": FULL,
        }
        with Path(target).open("a") as out:
            out.write(json.dumps(facts) + "\n")
