"""Who may use the system, and what they asked for. One set of models for SQLite and MongoDB."""

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone

from .audit_models import AuditBatch as AuditBatch
from .audit_models import AuditEvent as AuditEvent
from .job_models import Job as Job
from .job_models import JobStatus as JobStatus
from .job_models import Replay as Replay
from .keyed import Kept as Kept
from .keyed import Keyed as Keyed
from .keyed import uuid7 as uuid7
from .webhook_models import DeliveryStatus as DeliveryStatus
from .webhook_models import WebhookDelivery as WebhookDelivery
from .webhook_models import WebhookEndpoint as WebhookEndpoint
from .webhook_models import WebhookEvent as WebhookEvent


class User(AbstractUser, Keyed):
    """A person or a machine that signs in."""

    class Meta(AbstractUser.Meta):
        abstract = False
        # A unique index on MongoDB is partial and cannot serve look-ups: it needs a plain twin.
        indexes = [models.Index(fields=["username"], name="user_username_ix")]


class WebSession(AbstractBaseSession):
    """A browser that is signed in (django.contrib.sessions' own model has no key that MongoDB takes)."""

    session_key = models.CharField(max_length=40, primary_key=True, db_column="_id")

    class Meta(AbstractBaseSession.Meta):
        # To whoever reads the admin a session is a recorded desktop.
        verbose_name = "signed-in browser"
        verbose_name_plural = "signed-in browsers"

    def __str__(self) -> str:
        return f"signed in until {self.expire_date}"


class RevokedToken(models.Model):
    """A refresh token that may not be used again (simplejwt's blacklist app cannot run on MongoDB)."""

    jti = models.CharField(max_length=64, primary_key=True, db_column="_id")
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"token {self.jti}, expired {self.expires_at}"


class ApiToken(Keyed):
    """A named token for a machine: only its hash is kept. It never does more than its user may."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens", db_index=False)
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    # What it may do of what its user may: verbs such as "view" and "play".
    scopes = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["digest"], name="api_token_digest_ix"),
            models.Index(fields=["user", "-created_at", "-id"], name="api_token_user_ix"),
        ]

    def __str__(self) -> str:
        return self.name


class FailedSignIns(models.Model):
    """How often signing in failed lately, for one user name or from one address (the key is its hash)."""

    key = models.CharField(max_length=64, primary_key=True, db_column="_id")
    failures = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(default=timezone.now, db_index=True)
    locked_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.failures} failures since {self.since}"
