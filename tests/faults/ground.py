"""Where a fault is tried: an installation of its own, what it acknowledged, and the verdict at the end."""

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from lucid_sessions import archive
from lucid_sessions.recordings import intake, leases, reconcile
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import ENDED, UNFINISHED, Desired, Status
from lucid_sessions.recordings.models import Chunk, Session
from recorder.spool import sequence_of
from tests import factories
from tests.faults import oracle
from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SIZE = os.environ.get("LUCID_FAULTS", "ci")
FULL = SIZE == "full"
MOST = int(os.environ.get("LUCID_FAULTS_MOST", "10000"))
# Enough to show that a safeguard is missing.
BRIEF = 8
SEED = int(os.environ.get("LUCID_FAULTS_SEED", "3"))
# CI's machine is shared with other tests, and what it measures is published nowhere.
DRAIN_SECONDS = 60.0 if FULL else PATIENCE
# Beat's tick in a full run; in CI the same work is done more often, to wait less.
TICK_SECONDS = reconcile.TICK_SECONDS if FULL else 0.5


def be_brief() -> None:
    """For the rest of this process few trials, and no long wait for what a mutant never does."""
    global SIZE, DRAIN_SECONDS
    SIZE, DRAIN_SECONDS = "brief", 1.0


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
    _ticked: float = field(default_factory=time.monotonic)

    def session(self, *, segments: int = 1, name: str = "", content: bytes | None = None) -> Session:
        """A session that is over, its segments acknowledged and filed, nothing processed."""
        session = self.recording(name=name)
        for counter in range(1, segments + 1):
            self.acknowledge(session, counter, content=content)
        factories.close(session, self.world, last_counter=segments)
        # Only this one: the spool may hold a thousand others by now.
        intake.Intake(self.world.spool).scan(session.pk)
        factories.end(session)
        session.refresh_from_db()
        # As told by the recorder at once: the message is the trial's, and the reconciler waits for it.
        Chunk.objects.filter(session=session, hinted_at__isnull=True).update(hinted_at=timezone.now())
        return session

    def recording(self, *, name: str = "") -> Session:
        """A session with an open take and no segment yet."""
        session = factories.ready("synthetic://64x48", name=name or f"trial {self.trials}")
        Session.objects.filter(pk=session.pk).update(status=Status.RECORDING, desired=Desired.RECORD)
        factories.take(session, self.world)
        return session

    def acknowledge(self, session: Session, counter: int, *, content: bytes | None = None) -> Path:
        """One segment of the session's first take, durably in the spool."""
        content = factories.segment_bytes(1 + counter % 5) if content is None else content
        path = factories.acknowledge(session, self.world, counter=counter, content=content)
        self.note(session, counter, content)
        return path

    def note(self, session: Session, counter: int, content: bytes) -> None:
        """From now on the oracle wants this segment of the session's first take."""
        self.acknowledged[session.pk, "screen", sequence_of(1, counter)] = content

    def ids(self, session: Session) -> list[UUID]:
        """The session's chunks in order."""
        return list(Chunk.objects.filter(session=session).order_by("sequence").values_list("pk", flat=True))

    def strike(self, session: Session | None = None) -> None:
        """A trial was made; recovery of its session counts from now."""
        self.trials += 1
        if session is not None:
            self.struck[session.pk] = time.monotonic()

    def archive(self) -> None:
        """One round of all the work, for what was announced just now as well."""
        Chunk.objects.filter(hinted_at__isnull=False).update(hinted_at=None)
        reconcile.work_inline(self.world)

    def tick(self) -> None:
        """Between trials the engine goes on as beat lets it: every so often the reconciler and the sealer."""
        if time.monotonic() - self._ticked >= TICK_SECONDS:
            reconcile.work_inline(self.world)
            self._ticked = time.monotonic()
        self.note_recoveries()

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
            else:
                self.hasten()
            self.note_recoveries()
            left = Chunk.objects.filter(state__in=UNFINISHED, quarantined_at__isnull=True)
            if not left.exists() and not self.struck:
                return
            time.sleep(TICK_SECONDS if inline else 0.2)

    def _let_time_pass(self) -> None:
        """In CI leases of the dead and hints are over at once; a full run waits for them."""
        if not FULL:
            over = timezone.now() - timedelta(seconds=1)
            Chunk.objects.filter(token__gt="").update(lease_until=over)
            Chunk.objects.filter(hinted_at__isnull=False).update(hinted_at=None)

    def hasten(self) -> None:
        """In CI what a dead worker held, and what a lost hint told of, is due within seconds, not after 20.

        Who lives renews its lease every 5 s; a hint that somebody heard has led to a claim. At worst work is
        done twice.
        """
        if FULL or time.monotonic() - self._ticked < TICK_SECONDS:
            return
        self._ticked, now = time.monotonic(), timezone.now()
        not_renewed = now + leases.LEASE - timedelta(seconds=1.5 * leases.RENEW_SECONDS)
        dead = Chunk.objects.filter(token__gt="", lease_until__lt=not_renewed)
        dead.update(lease_until=now - timedelta(seconds=1))
        Chunk.objects.filter(hinted_at__lt=now - timedelta(seconds=3)).update(hinted_at=None)
        reconcile.tick()

    def note_recoveries(self) -> None:
        """Sessions that were struck and are sealed by now have recovered."""
        over = Session.objects.filter(pk__in=list(self.struck), status__in=ENDED)
        for pk in over.values_list("pk", flat=True):
            self.recoveries.append(time.monotonic() - self.struck.pop(pk))

    def has_recovered(self) -> bool:
        """Whether all that were struck are sealed; what the dead held is made due."""
        self.hasten()
        self.note_recoveries()
        return not self.struck

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

    def finish_damaged(self) -> None:
        """For trials whose damage stays, so that the oracle cannot be asked: what they found themselves."""
        self._report(self.extra)
        assert not self.extra.all, f"seed {SEED}, {self.trials} trials:\n" + "\n".join(self.extra.all[:20])

    def _report(self, found: oracle.Findings) -> None:
        target = os.environ.get("LUCID_FAULTS_RESULTS")
        if not target or not self.fault:
            return
        facts: dict[str, Any] = {
            "row": self.row,
            "fault": self.fault + (" (on MongoDB)" if settings.MONGO and "mongod" not in self.fault else ""),
            "trials": self.trials,
            "lost": len(found.lost),
            "duplicated": len(found.duplicated),
            "undetected": len(found.undetected) + len(found.unfinished),
            "recoveries": [round(one, 2) for one in self.recoveries],
            "seed": SEED,
            "full": FULL,
            "alone": bool(os.environ.get("LUCID_FAULTS_ALONE")),
            "commit": _commit(),
            "load": round(os.getloadavg()[0], 1),
        }
        with Path(target).open("a") as out:
            out.write(json.dumps(facts) + "\n")


def _commit() -> str:
    """The last commit of the code that is tried; with a plus when files differ from it."""
    code = ["lucid_sessions", "recorder", "tasks"]
    last, changed = (
        _git(*command, "--", *code) for command in (("log", "-1", "--format=%h"), ("diff", "HEAD"))
    )
    return last + ("+" if changed else "")


def _git(*command: str) -> str:
    done = subprocess.run(["git", *command], capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip()
