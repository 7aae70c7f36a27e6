"""Models shaped as ours are: UUID keys in `_id`, a plain index beside each unique one."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone


class Keyed(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False, db_column="_id")

    class Meta:
        abstract = True


class User(AbstractUser, Keyed):
    class Meta(AbstractUser.Meta):
        indexes = [models.Index(fields=["username"], name="user_username")]

    def __str__(self) -> str:
        return self.username


class Tape(Keyed):
    title = models.CharField(max_length=80)
    settings = models.JSONField(default=dict)
    begun_at = models.DateTimeField(default=timezone.now)
    owner = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="tapes")

    objects: ClassVar[models.Manager[Tape]] = models.Manager()

    class Meta:
        indexes = [models.Index(fields=["-begun_at", "-id"], name="tape_begun")]

    def __str__(self) -> str:
        return self.title


class Piece(Keyed):
    tape = models.ForeignKey(Tape, on_delete=models.CASCADE, related_name="pieces", db_index=False)
    sequence = models.BigIntegerField()
    state = models.CharField(max_length=12, default="recorded")
    attempts = models.PositiveIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[models.Manager[Piece]] = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tape", "sequence"], name="piece_once")]
        indexes = [
            models.Index(fields=["tape", "sequence"], name="piece_in_order"),
            models.Index(fields=["state", "due_at", "id"], name="piece_work"),
        ]

    def __str__(self) -> str:
        return f"{self.tape} {self.sequence}"
