"""Rows that are named by a time-ordered UUID, on every database alike."""

import os
import time
import uuid

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
