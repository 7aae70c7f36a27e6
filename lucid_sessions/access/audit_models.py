"""The rows of the audit: what was done, by whom, from where, why; and the batches for the ledger."""

import secrets

from django.db import models

from .keyed import Keyed


def salt() -> str:
    """What keeps an event's digest from being guessed back to a name or an address."""
    return secrets.token_hex(16)


class AuditEvent(Keyed):
    """One thing that somebody did, or was not let do. Written once; `batch` is all that ever changes.

    Names are kept as they were: they outlive the rows of users and sessions.
    """

    at_us = models.BigIntegerField()
    action = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10)
    user = models.CharField(max_length=40, blank=True, default="")
    username = models.CharField(max_length=150, blank=True, default="")
    # How the user was known: password, token, api-token, link, browser, command; empty for strangers.
    means = models.CharField(max_length=20, blank=True, default="")
    address = models.CharField(max_length=45, blank=True, default="")
    session = models.CharField(max_length=36, blank=True, default="")
    item = models.CharField(max_length=120, blank=True, default="")
    why = models.TextField(blank=True, default="")
    facts = models.JSONField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True, default="")
    salt = models.CharField(max_length=32, default=salt)
    # Which batch fixed it; null: the next one will.
    batch = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-at_us", "-id"]
        indexes = [
            models.Index(fields=["-at_us", "-id"], name="audit_time_ix"),
            models.Index(fields=["batch", "at_us", "id"], name="audit_batch_ix"),
            models.Index(fields=["session", "-at_us", "-id"], name="audit_session_ix"),
            models.Index(fields=["username", "-at_us", "-id"], name="audit_user_ix"),
            models.Index(fields=["action", "-at_us", "-id"], name="audit_action_ix"),
            models.Index(fields=["outcome", "-at_us", "-id"], name="audit_outcome_ix"),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.username or 'a stranger'}: {self.outcome}"


class AuditBatch(models.Model):
    """A run of events whose digests are chained, under a body that a ledger record names.

    Its index is the key, so of two that batch at once only one wins.
    """

    index = models.BigIntegerField(primary_key=True, db_column="_id")
    count = models.PositiveIntegerField()
    # The chain's last link, which the next batch begins with.
    head = models.CharField(max_length=64)
    body = models.CharField(max_length=64)
    first_us = models.BigIntegerField()
    last_us = models.BigIntegerField()
    # The events' rows know of it, and the ledger was asked.
    settled = models.BooleanField(default=False)

    class Meta:
        ordering = ["-index"]

    def __str__(self) -> str:
        return f"audit batch {self.index}"
