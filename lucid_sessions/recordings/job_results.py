"""Where what jobs make lies, under LUCID_RESULTS_PATH, and when it goes."""

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from lucid_sessions.access.models import Job, JobStatus

from .models import Session
from .tombstones import GONE

OPEN = (JobStatus.PENDING, JobStatus.RUNNING)
AT_ONCE = 200
SESSIONS_AT_ONCE = 1000


def folder_of(job_id: UUID) -> Path:
    """Where the job's result lies."""
    return Path(settings.LUCID_RESULTS_PATH) / job_id.hex


def remove_result(job_id: UUID) -> None:
    """Nothing of the job's result is left here."""
    shutil.rmtree(folder_of(job_id), ignore_errors=True)


def kept_for() -> timedelta:
    """How long a result, and the row of a job that is over, stay."""
    return timedelta(hours=settings.LUCID_RESULT_HOURS)


def remove_old() -> None:
    """Results whose time is over, or whose session is gone, are removed; their jobs' rows go with them."""
    now = timezone.now()
    # Earlier releases cancelled a job that waited without a word on when it goes.
    untimed = Q(expires_at__isnull=True, ended_at__lt=now - kept_for())
    over = list(Job.objects.filter(Q(expires_at__lt=now) | untimed).values_list("pk", flat=True)[:AT_ONCE])
    of_gone = Job.objects.filter(session__in=_gone())
    over += list(of_gone.values_list("pk", flat=True))
    for pk in over:
        remove_result(pk)
    Job.objects.filter(pk__in=over).exclude(status__in=OPEN).delete()


def _gone() -> list[UUID]:
    """Of the sessions that there are jobs of, in whatever state, those that are gone."""
    asked = list(Job.objects.order_by().values_list("session", flat=True).distinct())
    pages = (asked[at : at + SESSIONS_AT_ONCE] for at in range(0, len(asked), SESSIONS_AT_ONCE))
    gone = (
        Session.objects.filter(pk__in=page, status__in=GONE).values_list("pk", flat=True) for page in pages
    )
    return [pk for page in gone for pk in page]
