"""Where what jobs make lies, under LUCID_RESULTS_PATH, and when it goes."""

import re
import shutil
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from lucid_sessions.access.models import Job, JobStatus
from lucid_sessions.durable import make_directory

from .models import Session
from .tombstones import GONE

OPEN = (JobStatus.PENDING, JobStatus.RUNNING)
AT_ONCE = 200
FOLDER = re.compile("[0-9a-f]{32}")
SESSIONS_AT_ONCE = 1000


def folder_of(job_id: UUID) -> Path:
    """Where all lies that is made for the job: what each attempt makes in a folder of its own."""
    return Path(settings.LUCID_RESULTS_PATH) / job_id.hex


def begin(job: Job) -> Path:
    """The folder of this attempt, empty; of those before it nothing is left."""
    undo(job)
    folder = _attempt(job)
    make_directory(folder)
    folder.chmod(0o700)
    return folder


def undo(job: Job) -> None:
    """Nothing is left of this attempt and those before it; what a later one makes stays."""
    for path in folder_of(job.pk).glob("*"):
        if path.name.isdecimal() and int(path.name) <= job.fence:
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # something of another attempt is in it
        folder_of(job.pk).rmdir()


def _attempt(job: Job) -> Path:
    return folder_of(job.pk) / str(job.fence)


def result_path(job: Job) -> Path | None:
    """The finished job's file; None when it is gone, or its session is."""
    if job.status != JobStatus.FINISHED or not job.result:
        return None
    if Session.objects.filter(pk=job.session, status__in=GONE).exists():
        return None
    # Earlier releases kept it in the job's folder itself.
    places = (folder / job.result["name"] for folder in (_attempt(job), folder_of(job.pk)))
    return next((path for path in places if path.is_file()), None)


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
    _remove_unknown()


def _remove_unknown() -> None:
    """What a restored, older database does not know of goes when its time is over."""
    old = [path for path in Path(settings.LUCID_RESULTS_PATH).glob("*") if _is_old(path)]
    asked = [UUID(hex=path.name) for path in sorted(old)[:AT_ONCE]]
    for pk in set(asked) - set(Job.objects.filter(pk__in=asked).values_list("pk", flat=True)):
        remove_result(pk)


def _is_old(path: Path) -> bool:
    """Whether it is a job's folder in which nothing was begun for as long as a result is kept."""
    with suppress(FileNotFoundError):  # another has just removed it
        named_so = FOLDER.fullmatch(path.name) is not None
        return named_so and path.stat().st_mtime < time.time() - kept_for().total_seconds()
    return False


def _gone() -> list[UUID]:
    """Of the sessions that there are jobs of, in whatever state, those that are gone."""
    asked = list(Job.objects.order_by().values_list("session", flat=True).distinct())
    pages = (asked[at : at + SESSIONS_AT_ONCE] for at in range(0, len(asked), SESSIONS_AT_ONCE))
    gone = (
        Session.objects.filter(pk__in=page, status__in=GONE).values_list("pk", flat=True) for page in pages
    )
    return [pk for page in gone for pk in page]
