"""Where others want to be told what happens, what there is to tell, and what came of telling it."""

from django.db import models
from django.utils import timezone

from .keyed import Keyed


class DeliveryStatus(models.TextChoices):
    """How far a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookEndpoint(Keyed):
    """An address of somebody else's that is told of events. Its secret is sealed to the deliverer's key."""

    url = models.CharField(max_length=500)
    description = models.CharField(max_length=200, blank=True, default="")
    # Kinds of events; empty: all of them.
    events = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    # Why it is disabled, when it was not a person who did that.
    reason = models.CharField(max_length=300, blank=True, default="")
    secret = models.BinaryField(max_length=1024)
    # After a rotation both sign for a while, so that no receiver has to change at that very moment.
    secret_before = models.BinaryField(max_length=1024, null=True, blank=True)
    before_until = models.DateTimeField(null=True, blank=True)
    # Failures in a row, since when, and until when it is left in peace.
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    quiet_until = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    version = models.BigIntegerField(default=1)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["-created_at", "-id"], name="webhook_created_ix")]

    def __str__(self) -> str:
        return self.url


class WebhookEvent(Keyed):
    """Something that happened. Its id is drawn from what it is, so that telling it twice makes it once."""

    kind = models.CharField(max_length=40)
    at = models.DateTimeField(default=timezone.now)
    facts = models.JSONField(default=dict, blank=True)
    # False while that which it tells may not have happened yet: a death in between is found out later.
    happened = models.BooleanField(default=True)
    # True once every endpoint that wants it has its delivery.
    spread = models.BooleanField(default=False)

    class Meta:
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["spread", "at", "id"], name="webhook_event_spread_ix"),
            models.Index(fields=["at"], name="webhook_event_at_ix"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at}"


class WebhookDelivery(Keyed):
    """One event on its way to one endpoint. Claimed by conditional update, like all work here."""

    endpoint = models.UUIDField()
    event = models.UUIDField()
    kind = models.CharField(max_length=40)
    status = models.CharField(max_length=10, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    fence = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    # What the last attempt brought: the HTTP status (0: there was no answer), why, and how long it took.
    answer = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=300, blank=True, default="")
    milliseconds = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    attempted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["status", "next_attempt_at"], name="webhook_due_ix"),
            models.Index(fields=["endpoint", "status", "created_at", "id"], name="webhook_next_ix"),
            models.Index(fields=["endpoint", "-created_at", "-id"], name="webhook_log_ix"),
            models.Index(fields=["created_at"], name="webhook_old_ix"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.status}"
