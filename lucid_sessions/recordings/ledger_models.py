"""The ledger's rows: what is asked of the sealer, what it appended, what it signed. Part of `models`."""

from django.db import models
from django.utils import timezone

from lucid_sessions.access.models import Keyed


class LedgerRequest(Keyed):
    """Something that the sealer is asked to append; everyone but the sealer only leaves these."""

    kind = models.CharField(max_length=20)
    key = models.CharField(max_length=120, unique=True)
    facts = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    record = models.BigIntegerField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["key"], name="ledger_request_key_ix"),
            models.Index(fields=["record", "created_at"], name="ledger_request_open_ix"),
        ]


class LedgerRecord(models.Model):
    """One entry of the log: its index is the key, so two appends cannot both win it."""

    index = models.BigIntegerField(primary_key=True, db_column="_id")
    kind = models.CharField(max_length=20)
    key = models.CharField(max_length=120, unique=True)
    # The canonical JSON text that is hashed, as it is.
    entry = models.TextField()
    body = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    applied = models.BooleanField(default=False)

    class Meta:
        ordering = ["index"]
        indexes = [
            models.Index(fields=["key"], name="ledger_record_key_ix"),
            models.Index(fields=["kind", "index"], name="ledger_record_kind_ix"),
            models.Index(fields=["applied", "index"], name="ledger_record_applied_ix"),
        ]

    def __str__(self) -> str:
        return f"record {self.index} ({self.kind})"


class Checkpoint(models.Model):
    """A signed statement of the log's size and root."""

    size = models.BigIntegerField(primary_key=True, db_column="_id")
    root = models.CharField(max_length=64)
    note = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-size"]

    def __str__(self) -> str:
        return f"checkpoint {self.size}"
