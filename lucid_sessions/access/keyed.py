"""Rows that are named by a time-ordered UUID, on every database alike."""

import os
import time
import uuid
from typing import Any

from django.db import OperationalError, models


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


class Kept(Keyed):
    """A row that is never deleted: one that was read, or written, is there."""

    class Meta:
        abstract = True

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """The row as it is now. OperationalError while the database does not give it: ask again.

        Of a primary that has just taken over, MongoDB's read concern `majority` shows nothing that it has not
        heard a majority confirm by then, though another primary had acknowledged it.
        """
        try:
            super().refresh_from_db(*args, **kwargs)
        except self.DoesNotExist as error:
            what = f"{self._meta.verbose_name} {self.pk}"
            raise OperationalError(f"The database does not show {what}, which it has. Try again.") from error
