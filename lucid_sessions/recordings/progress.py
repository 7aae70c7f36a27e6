"""Where a session stands, from its start to its seal."""

from dataclasses import dataclass

from django.db.models import Count, Sum

from .lifecycle import ENDED, State
from .models import Chunk, Session


@dataclass(frozen=True)
class Progress:
    """Where a session stands: its status, its chunks by state, the seconds and bytes recorded.

    `frame_rate` is that of the newest segment: what does not change is not recorded again and again.
    """

    status: str
    reason: str
    chunks: dict[str, int]
    quarantined: int
    recorded_seconds: float
    recorded_bytes: int = 0
    frame_rate: float = 0.0

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

    def line(self, elapsed: float) -> str:
        """One line for a terminal that is looked at while it changes; `elapsed` seconds have passed."""
        minutes, seconds = divmod(int(elapsed), 60)
        clock = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
        size = f"{self.recorded_bytes / 1e6:.1f} MB"
        return f"{clock}  {self.frame_rate:.1f} fps  {size}  {self}"

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
    shown = chunks.filter(track="screen").order_by("-sequence")
    frames, begin_us, end_us = shown.values_list("frames", "start_us", "end_us").first() or (0, 0, 0)
    return Progress(
        status=session.status,
        reason=session.reason,
        chunks=counts,
        quarantined=chunks.filter(quarantined_at__isnull=False).count(),
        recorded_seconds=end_us / 1_000_000,
        recorded_bytes=chunks.aggregate(total=Sum("raw_length"))["total"] or 0,
        frame_rate=(frames or 0) * 1_000_000 / max(1, end_us - begin_us),
    )
