"""Watching one session from its start to its seal, on a terminal or in plain lines."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count

from .lifecycle import ENDED, State, Status
from .models import Chunk, Session
from .sessions import stop

if TYPE_CHECKING:
    from .management.command import Command

EVERY_SECONDS = 0.5
# A session that no recorder takes for this long needs a word.
UNTAKEN_SECONDS = 15.0


@dataclass(frozen=True)
class Progress:
    """Where a session stands: its status, its chunks by state, the seconds recorded."""

    status: str
    reason: str
    chunks: dict[str, int]
    quarantined: int
    recorded_seconds: float

    @property
    def total(self) -> int:
        return sum(self.chunks.values())

    @property
    def anchored(self) -> int:
        return self.chunks.get(State.ANCHORED, 0)

    @property
    def over(self) -> bool:
        """Sealed, or ended without anything to seal."""
        return self.status in ENDED

    def __str__(self) -> str:
        line = f"{self.status}: {self.recorded_seconds:.0f} s recorded"
        line += f", {self.anchored} of {self.total} chunks anchored"
        return line + (f", {self.quarantined} in quarantine" if self.quarantined else "")


def of(session: Session) -> Progress:
    """Where the session stands now."""
    session.refresh_from_db()
    chunks = Chunk.objects.filter(session=session)
    counts = {
        str(state): count for state, count in chunks.values_list("state").annotate(Count("pk")).order_by()
    }
    last = chunks.filter(track="screen").order_by("-sequence").values_list("end_us", flat=True).first()
    return Progress(
        status=session.status,
        reason=session.reason,
        chunks=counts,
        quarantined=chunks.filter(quarantined_at__isnull=False).count(),
        recorded_seconds=(last or 0) / 1_000_000,
    )


def follow(command: "Command", session: Session) -> int:
    """Print progress until the session is sealed; Ctrl-C stops the recording and goes on watching."""
    began = time.monotonic()
    shown = ""
    while True:
        try:
            now = of(session)
            if str(now) != shown and not command.as_json:
                command.stderr.write(str(now), ending="\n")
            shown = str(now)
            if now.over:
                break
            if now.status == Status.STARTING and time.monotonic() - began > UNTAKEN_SECONDS:
                command.stderr.write(
                    "No recorder has taken it yet: is `make run` or `manage.py recorder` running?"
                )
                began = time.monotonic()
            time.sleep(EVERY_SECONDS)
        except KeyboardInterrupt:
            command.stderr.write("Stopping the recording; what was recorded is still being archived.")
            stop(session)
    text = f'{session.pk}  "{session.name}" {now.status}' + (f": {now.reason}" if now.reason else "")
    command.tell(text, session=session.pk, status=now.status, reason=now.reason, chunks=now.chunks)
    return 0 if now.status == Status.COMPLETED else 1
