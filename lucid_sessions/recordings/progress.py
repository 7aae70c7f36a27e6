"""Where a session stands, from its start to its seal."""

from dataclasses import dataclass

from django.db.models import Count

from .lifecycle import ENDED, State
from .models import Chunk, Session


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
