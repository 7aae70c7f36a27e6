"""Which sessions and jobs a user may see at all."""

from typing import Any

from django.db.models import QuerySet

from lucid_sessions.access.models import Job
from lucid_sessions.access.roles import sees_all

from .models import Session


def sessions_of(user: Any) -> QuerySet[Session]:
    """Every session that the user may see."""
    return Session.objects.all() if sees_all(user) else Session.objects.filter(owner=user)


def jobs_of(user: Any) -> QuerySet[Job]:
    """Every job that the user may see: those that he asked for, and all for who sees all sessions."""
    return Job.objects.all() if sees_all(user) else Job.objects.filter(user=user.pk)
