"""Who may use the system: users, web sessions, revoked tokens. One set of models for SQLite and MongoDB."""

import os
import time
import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


def uuid7() -> uuid.UUID:
    """A time-ordered random UUID (RFC 9562, version 7): keys that are born in order insert in order."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    head = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | (chance >> 68 & 0xFFF) << 64
    return uuid.UUID(int=head | 0b10 << 62 | chance & (1 << 62) - 1)


class Keyed(models.Model):
    """A row named by a UUID, in MongoDB's native key column on every database."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False, db_column="_id")

    class Meta:
        abstract = True


class User(AbstractUser, Keyed):
    """A person or a machine that signs in."""

    class Meta(AbstractUser.Meta):
        abstract = False
        # A unique index on MongoDB is partial and cannot serve look-ups: it needs a plain twin.
        indexes = [models.Index(fields=["username"], name="user_username_ix")]


class WebSession(AbstractBaseSession):
    """A browser's signed-in session (django.contrib.sessions' own model has no key that MongoDB takes)."""

    session_key = models.CharField(max_length=40, primary_key=True, db_column="_id")

    def __str__(self) -> str:
        return f"web session until {self.expire_date}"


class RevokedToken(models.Model):
    """A refresh token that may not be used again (simplejwt's blacklist app cannot run on MongoDB)."""

    jti = models.CharField(max_length=64, primary_key=True, db_column="_id")
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"token {self.jti}, expired {self.expires_at}"
