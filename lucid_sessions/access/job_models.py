"""What clients have asked for: long work as jobs, and answers to be given again under the same key."""

from django.db import models
from django.utils import timezone

from .keyed import Keyed


class JobStatus(models.TextChoices):
    """How far a job is."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Keyed):
    """Long work for a client. Like all work here it is claimed by conditional update, and can be repeated."""

    kind = models.CharField(max_length=20)
    session = models.UUIDField()
    user = models.UUIDField()
    options = models.JSONField(null=True, blank=True)
    status = models.CharField(max_length=10, choices=JobStatus.choices, default=JobStatus.PENDING)
    percent = models.PositiveIntegerField(default=0)
    reason = models.TextField(blank=True, default="")
    cancel_asked = models.BooleanField(default=False)
    fence = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    # What came of it: the file's name for people, its length and SHA-256.
    result = models.JSONField(null=True, blank=True)
    # The request that asked for it: what its runner logs names it.
    request_id = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    # When the result goes.
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["status", "created_at"], name="job_status_ix"),
            models.Index(fields=["session", "-created_at"], name="job_session_ix"),
            models.Index(fields=["user", "-created_at", "-id"], name="job_user_ix"),
            models.Index(fields=["expires_at"], name="job_expires_ix"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.session}: {self.status}"


class Replay(models.Model):
    """The answer to a request that came with an Idempotency-Key, for when it comes again.

    The key is a hash of user, address and the client's key. Status 0: the first is still being answered.
    """

    key = models.CharField(max_length=64, primary_key=True, db_column="_id")
    body = models.CharField(max_length=64)
    # The id that the first request gives to what it creates.
    made = models.UUIDField()
    status = models.PositiveIntegerField(default=0)
    answer = models.TextField(blank=True, default="")
    location = models.CharField(max_length=500, blank=True, default="")
    begun_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"answer {self.status} until {self.expires_at}"
