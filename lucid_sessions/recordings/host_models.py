"""The row of a recorder host: whether it takes a further session, what it measured. Part of `models`."""

from django.db import models
from django.utils import timezone

from lucid_sessions.access.models import Keyed


class RecorderHost(Keyed):
    """One recorder, by its spool; it writes this every few seconds while it lives."""

    spool = models.CharField(max_length=8, unique=True)
    name = models.CharField(max_length=200)
    seen_at = models.DateTimeField(default=timezone.now)
    sessions = models.PositiveIntegerField(default=0)
    # Why it takes no further session now; empty while it does.
    refusal = models.TextField(blank=True, default="")
    # Cores: what recorders may use, what they use, what one more is expected to use; by session.
    figures = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(fields=["spool"], name="recorder_host_spool_ix"),
            models.Index(fields=["seen_at"], name="recorder_host_seen_ix"),
        ]

    def __str__(self) -> str:
        return self.name
