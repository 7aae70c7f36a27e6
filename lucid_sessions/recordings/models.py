"""The rows of the domain: one set of models for SQLite, PostgreSQL and MongoDB.

Commit points are single rows moved by conditional updates, foreign keys are not relied upon, and
every unique constraint that serves look-ups has a plain index as its twin (on MongoDB a unique index
is partial and cannot serve them). Rows are never joined in hot queries: two steps instead.
"""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from lucid_sessions.access.models import Kept, Keyed

from .host_models import RecorderHost as RecorderHost
from .ledger_models import Checkpoint as Checkpoint
from .ledger_models import LedgerRecord as LedgerRecord
from .ledger_models import LedgerRequest as LedgerRequest
from .lifecycle import Desired, State, Status
from .tag_models import SessionTag as SessionTag


class Session(Kept):
    """One remote-desktop session that is, or is to be, recorded."""

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    status = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in Status], default=Status.CREATED
    )
    desired = models.CharField(
        max_length=8, choices=[(d.value, d.value) for d in Desired], default=Desired.NOTHING
    )
    # Why it failed, or was ended by something other than its owner.
    reason = models.TextField(blank=True, default="")
    source = models.CharField(max_length=500)
    recording_config = models.JSONField(default=dict, blank=True)
    storage_config = models.JSONField(default=dict, blank=True)
    project = models.CharField(max_length=100, blank=True, default="")
    environment = models.CharField(max_length=50, blank=True, default="")
    tags = models.JSONField(default=list, blank=True)
    priority = models.CharField(max_length=10, blank=True, default="normal")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    # Every conditional update of this row raises it; holds live beside it so that none can be raced.
    version = models.BigIntegerField(default=1)
    # True while webhooks may not yet have been told of the last change; what they were told, by kind.
    news = models.BooleanField(default=True)
    told = models.JSONField(null=True, blank=True)
    # Every hold that was ever placed, with its release when it has one: {id, by, who, why, at, ...}.
    holds = models.JSONField(default=list, blank=True)
    # True while a hold or release above may not yet have been asked of the ledger.
    holds_due = models.BooleanField(default=False)
    # Why it expired, by whom and since when; null while it is kept.
    expiry = models.JSONField(null=True, blank=True)
    # Bytes and files that it takes up; `usage_due` while they may still change.
    used_bytes = models.BigIntegerField(default=0)
    used_files = models.BigIntegerField(default=0)
    usage_due = models.BooleanField(default=True)
    # Somebody follows it, while it is recorded, until then.
    watched_until = models.DateTimeField(null=True, blank=True)
    processing_paused = models.BooleanField(default=False)
    statistics = models.JSONField(default=dict, blank=True)
    sealed_revision = models.PositiveIntegerField(default=0)
    sealed_record = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # With the version: a page of the list is answered by the index alone.
            models.Index(fields=["-created_at", "-id", "version"], name="session_newest_ix"),
            models.Index(fields=["status", "-created_at", "-id"], name="session_status_ix"),
            models.Index(fields=["project", "-created_at"], name="session_project_ix"),
            models.Index(fields=["environment", "-created_at"], name="session_environment_ix"),
            models.Index(fields=["owner", "-created_at"], name="session_owner_ix"),
            models.Index(fields=["status", "ended_at", "id"], name="session_ended_ix"),
            models.Index(fields=["holds_due", "id"], name="session_holds_due_ix"),
            models.Index(fields=["usage_due", "id"], name="session_usage_due_ix"),
            models.Index(fields=["news", "id"], name="session_news_ix"),
            # For MongoDB, where it has an entry for each tag.
            models.Index(fields=["tags", "-created_at", "-id"], name="session_tags_ix"),
            models.Index(fields=["project", "used_bytes", "used_files"], name="session_usage_ix"),
        ]
        permissions = [
            ("record_session", "Can start, pause, resume and stop a session"),
            ("play_session", "Can play a session"),
            ("export_session", "Can export a session"),
            ("hold_session", "Can put a session under legal hold"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def active_holds(self) -> list[dict[str, Any]]:
        """The holds that are not released: while there is one, nothing of the session may go."""
        return [hold for hold in self.holds if not hold.get("released_at")]


class SessionKey(Keyed):
    """The public half of a session's key for one track, with the creator's signed statement of its birth.

    The sealed private half is a file, never a row: no metadata backup may contain it.
    """

    session = models.ForeignKey(Session, models.PROTECT, related_name="keys", db_index=False)
    track = models.CharField(max_length=16)
    public = models.CharField(max_length=64)
    statement = models.BinaryField(max_length=512)
    # What stands for session and track in a blob's header: leads from a stray blob to its row.
    binding = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session", "track"], name="session_key_uq")]
        indexes = [
            models.Index(fields=["session", "track"], name="session_key_ix"),
            models.Index(fields=["binding"], name="session_key_binding_ix"),
        ]


class Take(Keyed):
    """One recorder's tenure over a session."""

    session = models.ForeignKey(Session, models.PROTECT, related_name="takes", db_index=False)
    number = models.PositiveIntegerField()
    host = models.CharField(max_length=200)
    spool = models.CharField(max_length=8)
    claimed_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")
    # The spool's own host has removed everything of this take, because the session expired.
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["session_id", "number"]
        constraints = [models.UniqueConstraint(fields=["session", "number"], name="take_uq")]
        indexes = [
            models.Index(fields=["session", "number"], name="take_ix"),
            models.Index(fields=["spool", "ended_at"], name="take_spool_ix"),
        ]

    def __str__(self) -> str:
        return f"take {self.number} on {self.host}"


class Closure(Keyed):
    """A track of a take that will not grow any more, and how many segments it had."""

    session = models.ForeignKey(Session, models.PROTECT, related_name="closures", db_index=False)
    take = models.PositiveIntegerField()
    track = models.CharField(max_length=16)
    last_counter = models.BigIntegerField()
    end_us = models.BigIntegerField()
    # ended: over; failed: cannot go on; interrupted: the take died and another may continue.
    ending = models.CharField(max_length=12, default="ended")
    reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session", "take", "track"], name="closure_uq")]
        indexes = [models.Index(fields=["session", "take", "track"], name="closure_ix")]


class Gap(Keyed):
    """A stretch of the timeline that could not be, or was not to be, recorded."""

    session = models.ForeignKey(Session, models.PROTECT, related_name="gaps", db_index=False)
    track = models.CharField(max_length=16)
    take = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    from_us = models.BigIntegerField()
    to_us = models.BigIntegerField()
    reason = models.TextField()
    uncertain = models.BooleanField(default=False)

    class Meta:
        ordering = ["session_id", "track", "from_us"]
        constraints = [models.UniqueConstraint(fields=["session", "track", "take", "number"], name="gap_uq")]
        indexes = [models.Index(fields=["session", "track", "take", "number"], name="gap_ix")]


class Chunk(Keyed):
    """A segment of one track on its way into, or in, the archive."""

    session = models.ForeignKey(Session, models.PROTECT, related_name="chunks", db_index=False)
    track = models.CharField(max_length=16)
    sequence = models.BigIntegerField()
    epoch = models.PositiveIntegerField()
    start_us = models.BigIntegerField()
    end_us = models.BigIntegerField()
    timestamp_ms = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    # Where the acknowledged bytes lie until the archive has them; path empty: already gone.
    spool = models.CharField(max_length=8)
    path = models.CharField(max_length=300, blank=True)
    raw_length = models.BigIntegerField()

    state = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in State], default=State.RECORDED
    )
    fence = models.BigIntegerField(default=0)
    token = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    # Claims made alone, after a lost one, that brought no verdict either.
    losses = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    hinted_at = models.DateTimeField(null=True, blank=True)
    quarantined_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    raw_sha256 = models.CharField(max_length=64, blank=True, default="")
    frames = models.PositiveIntegerField(default=0)
    # Of a small picture: the parts of the screen that changed, added up; of input: how often something was
    # pressed; null where nobody has counted.
    activity = models.FloatField(null=True, blank=True)
    # Bytes at the segment's head that describe the track; the media follow.
    init_length = models.PositiveIntegerField(default=0)
    codec = models.CharField(max_length=4, blank=True, default="")
    packed_length = models.BigIntegerField(default=0)
    packed_sha256 = models.CharField(max_length=64, blank=True, default="")
    blob = models.CharField(max_length=64, blank=True, default="")
    blob_length = models.BigIntegerField(default=0)
    leaf = models.CharField(max_length=64, blank=True, default="")
    stored_at = models.DateTimeField(null=True, blank=True)
    anchored_at = models.DateTimeField(null=True, blank=True)
    # Index of the batch record in the log that holds this chunk's leaf.
    record = models.BigIntegerField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)
    # An expired chunk's blob is gone from the archive; the row stays, as what existed.
    shredded_at = models.DateTimeField(null=True, blank=True)
    # Microseconds that each stage's own work took.
    timings = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["session_id", "track", "sequence"]
        constraints = [
            models.UniqueConstraint(fields=["session", "track", "sequence"], name="chunk_place_uq")
        ]
        indexes = [
            models.Index(fields=["session", "track", "sequence"], name="chunk_place_ix"),
            models.Index(fields=["session", "state", "track", "sequence"], name="chunk_page_ix"),
            models.Index(fields=["session", "timestamp_ms"], name="chunk_time_ix"),
            models.Index(fields=["state", "created_at", "id"], name="chunk_state_ix"),
            models.Index(fields=["created_at", "id"], name="chunk_created_ix"),
            models.Index(fields=["spool", "state"], name="chunk_spool_ix"),
            models.Index(fields=["token"], name="chunk_token_ix"),
            models.Index(fields=["blob"], name="chunk_blob_ix"),
            models.Index(fields=["leaf"], name="chunk_leaf_ix"),
            models.Index(fields=["record"], name="chunk_record_ix"),
            models.Index(fields=["state", "verified_at", "stored_at", "id"], name="chunk_verified_ix"),
            models.Index(fields=["quarantined_at"], name="chunk_stuck_ix"),
        ]

    def __str__(self) -> str:
        return f"{self.track} {self.sequence >> 32}.{self.sequence & 0xFFFFFFFF}"


class StoragePolicy(Keyed):
    """How long, and how much, is kept of sessions in a scope. A session's own configuration goes first."""

    class Scope(models.TextChoices):
        DEFAULT = "default"
        PROJECT = "project"
        ENVIRONMENT = "environment"
        TAG = "tag"

    scope = models.CharField(max_length=12, choices=Scope.choices)
    value = models.CharField(max_length=100, blank=True, default="")
    retention_days = models.PositiveIntegerField(null=True, blank=True)
    max_size_gb = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["scope", "value"]
        constraints = [models.UniqueConstraint(fields=["scope", "value"], name="storage_policy_uq")]
        indexes = [models.Index(fields=["scope", "value"], name="storage_policy_ix")]

    def __str__(self) -> str:
        return f"{self.scope}={self.value}" if self.value else self.scope


class Upkeep(models.Model):
    """Where a recurring job stands, so that it goes on after any interruption. One row a job."""

    name = models.CharField(max_length=40, primary_key=True, db_column="_id")
    facts = models.JSONField(default=dict)
    version = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return self.name
