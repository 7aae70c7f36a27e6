"""Long work for clients: exports, evidence, verifications; claimed by conditional update, done by who can.

    pending -> running -> finished | failed | cancelled

The row is the truth, as everywhere: a runner that dies loses its lease and another begins anew. What is
lacking around it (a store that is away, a full disk) is waited for without limit, the reason shown. One that
needs the key is left to a process that was given ENCRYPTION_PASSWORD. Results lie under LUCID_RESULTS_PATH,
decrypted where that was asked for, for LUCID_RESULT_HOURS, and go at once when their session does.
"""

import hashlib
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from lucid_sessions.access.models import Job, JobStatus, User
from lucid_sessions.errors import LucidError, Refused, Retryable

from . import evidence, hints, leases, one_file, playback, reports, verification
from .job_faults import as_ours, wait_of
from .job_results import begin, kept_for, remove_old, remove_result, undo
from .lifecycle import ARCHIVED
from .models import Chunk, Session
from .ownership import sessions_of
from .tombstones import GONE

log = structlog.get_logger(__name__)

EXPORT, EVIDENCE, VERIFY = "export", "evidence", "verify"
KINDS = (EXPORT, EVIDENCE, VERIFY)
LEASE = timedelta(seconds=60)
RENEW_SECONDS = 15.0
# How often a running job tells how far it is, and asks whether it is still wanted.
LOOK_SECONDS = 0.5
# So many runners in a row may die over a job.
MOST_ATTEMPTS = 8
# An instant further ahead than we ever set was written under another clock: it counts as past.
FURTHEST = timedelta(minutes=5)

_announce: Callable[[], None] | None = None


class Dropped(LucidError):
    """Nobody wants the job any more, or another runner has it."""


def register(announce: Callable[[], None] | None) -> None:
    """From now on a new job is announced by this; without it the next tick finds it."""
    global _announce
    _announce = announce


def submit(kind: str, session: Session, *, user: UUID, options: dict[str, Any], id: UUID) -> Job:  # noqa: A002
    """A job that waits for a runner; under the same id it is the same job."""
    asked = str(structlog.contextvars.get_contextvars().get("request_id", ""))
    facts = {"kind": kind, "session": session.pk, "user": user, "options": options, "request_id": asked}
    job, _ = Job.objects.get_or_create(id=id, defaults=facts)
    if _announce is not None:
        hints.is_sent(_announce, "job's hint", job=str(job.pk))
    return job


def cancel(job: Job) -> Job:
    """The job, cancelled; a running one stops at its next look. One that is over stays as it is."""
    waiting = Job.objects.filter(pk=job.pk, status=JobStatus.PENDING)
    if waiting.update(cancel_asked=True, **_over(JobStatus.CANCELLED)):
        remove_result(job.pk)
    else:
        Job.objects.filter(pk=job.pk, status=JobStatus.RUNNING).update(cancel_asked=True)
    job.refresh_from_db()
    return job


def tick(*, limit: int = 4) -> int:
    """How many jobs were worked on here; old results are removed on the way."""
    remove_old()
    worked = 0
    while worked < limit and (job := _claim()):
        with structlog.contextvars.bound_contextvars(request_id=job.request_id, job=str(job.pk)):
            _work(job)
        worked += 1
    return worked


def oldest_pending_seconds() -> float:
    """How long the job that waits longest has waited to be begun, or begun again; 0 when none waits."""
    now = timezone.now()
    first = Job.objects.filter(_free(now)).order_by("created_at").values_list("created_at", flat=True).first()
    return max(0.0, (now - first).total_seconds()) if first else 0.0


def _free(now: datetime) -> Q:
    """Nobody works on it."""
    lost = leases.over("lease_until", now, furthest=FURTHEST)
    return Q(status=JobStatus.PENDING) | Q(status=JobStatus.RUNNING) & lost


def _claim() -> Job | None:
    now = timezone.now()
    free, due = _free(now), leases.over("next_attempt_at", now, furthest=FURTHEST)
    for job in Job.objects.filter(free).filter(due).order_by("created_at")[:100]:
        if needs_key(job) and not settings.ENCRYPTION_PASSWORD:
            continue
        mine = Job.objects.filter(free, pk=job.pk, fence=job.fence)
        if job.attempts >= MOST_ATTEMPTS:
            _bury(mine, job)
            continue
        taken = {"fence": F("fence") + 1, "attempts": F("attempts") + 1, "lease_until": now + LEASE}
        if mine.update(status=JobStatus.RUNNING, percent=0, **taken):
            job.refresh_from_db()
            return job
    return None


def _bury(lost: "QuerySet[Job]", job: Job) -> None:
    """A job that nobody lived to settle, time after time, is not begun again."""
    reason = f"{job.attempts} runners in a row died over this job. Their logs say why; ask for another then."
    if lost.update(fence=F("fence") + 1, **_over(JobStatus.FAILED), reason=reason):
        log.error("job failed", job=str(job.pk), kind=job.kind, reason=reason)
        remove_result(job.pk)


def needs_key(job: Job) -> bool:
    """True when recordings have to be opened for it."""
    options = job.options or {}
    return job.kind == EXPORT or bool(options.get("disclose") or options.get("deep"))


def _work(job: Job) -> None:
    try:
        with _lease_held(job):
            out, facts = _make(job, _session_of(job))
            result = {**_result(out), **facts}
        if not _settle(job, status=JobStatus.FINISHED, percent=100, reason="", result=result):
            undo(job)
    except Dropped:
        undo(job)
        _settle(job, status=JobStatus.CANCELLED)
    except DatabaseFailure:
        raise  # no fault of the job: it cannot be settled now either, and its lease runs out
    except Exception as error:  # noqa: BLE001 - see as_ours
        _give_back_or_up(job, as_ours(error))


def _session_of(job: Job) -> Session:
    session = Session.objects.filter(pk=job.session).first()
    if session is None or session.status in GONE:
        raise Refused("The session is gone: it was deleted, or its time was over.")
    asker = User.objects.filter(pk=job.user).first()
    if asker is None or not sessions_of(asker).filter(pk=session.pk).exists():
        raise Refused("The session was given to another since it was asked for.")
    return session


def _give_back_or_up(job: Job, error: LucidError) -> None:
    undo(job)
    if isinstance(error, Retryable):
        log.warning("job waits", kind=job.kind, reason=str(error))
        _wait(job, str(error))
        return
    log.error("job failed", kind=job.kind, reason=str(error))
    _settle(job, status=JobStatus.FAILED, reason=str(error))


def _wait(job: Job, reason: str) -> None:
    """It is begun again after a while. This runner lives: it is none of those that died over it in a row."""
    due = timezone.now() + wait_of(job.created_at)
    again = {"status": JobStatus.PENDING, "attempts": 0, "next_attempt_at": due}
    # Who asked to cancel it while it failed has it at the end of this attempt, not of the next.
    if not _mine(job).filter(cancel_asked=False).update(reason=reason, lease_until=None, **again):
        _settle(job, status=JobStatus.CANCELLED)


def _settle(job: Job, *, status: str, **facts: Any) -> bool:
    """True when the job is over so; False when another runner has it."""
    return bool(_mine(job).update(**_over(status), **facts))


def _over(status: str) -> dict[str, Any]:
    now = timezone.now()
    return {"status": status, "ended_at": now, "expires_at": now + kept_for(), "lease_until": None}


def _mine(job: Job) -> Any:
    return Job.objects.filter(pk=job.pk, fence=job.fence, status=JobStatus.RUNNING)


@contextmanager
def _lease_held(job: Job) -> Iterator[None]:
    over = threading.Event()

    def renew() -> None:
        while not over.wait(RENEW_SECONDS):
            try:
                _mine(job).update(lease_until=timezone.now() + LEASE)
            except DatabaseFailure as error:
                # The lease may run out: then another takes over, and our next look finds that out.
                log.warning("lease not renewed", job=str(job.pk), error=str(error))
        connection.close()

    thread = threading.Thread(target=renew, name="job lease", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise Retryable("This runner has no room for another thread just now.") from error
    try:
        yield
    finally:
        over.set()
        thread.join()


def _make(job: Job, session: Session) -> tuple[Path, dict[str, Any]]:
    """The file, and what its job tells of it beside."""
    folder = begin(job)
    _look(job, 1)
    if job.kind == VERIFY:
        return _verify(job, session, folder)
    make = _export if job.kind == EXPORT else _evidence
    return make(job, session, folder), {}


def _verify(job: Job, session: Session, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Done as well when something is wrong: that is what it is asked for."""
    deep, step = bool((job.options or {}).get("deep")), progress(job, total=verification.length(session))
    # Begun anew after a death it tells of the same alarm.
    report = reports.verified(session, key=f"job {job.pk}", deep=deep, passed=step)
    _session_of(job)  # what was shredded meanwhile is not said to be sound: nothing of it is left
    out = folder / f"{session.pk.hex}-verification.json"
    reports.write(report, out, name=session.name)
    return out, {"verdict": reports.in_short(report)}


def _evidence(job: Job, session: Session, folder: Path) -> Path:
    out = folder / f"{session.pk.hex}-evidence.zip"
    disclose = frozenset((job.options or {}).get("disclose", ()))
    total = Chunk.objects.filter(session=session, state__in=ARCHIVED).count()
    total += playback.length(session) if "media" in disclose else 0
    evidence.write(session, out, disclose=disclose, passed=progress(job, total=total))
    return out


def _export(job: Job, session: Session, folder: Path) -> Path:
    """One MP4; several, for a session that changed its picture size or recorder, in a zip."""
    make = one_file.export if (job.options or {}).get("one_file") else playback.export
    step = progress(job, total=playback.length(session))
    files = make(session, folder / f"{session.pk.hex}.mp4", passed=step)
    return files[0] if len(files) == 1 else _zipped(files, folder / f"{session.pk.hex}.zip")


def progress(job: Job, *, total: int, every: float = LOOK_SECONDS) -> Callable[[], None]:
    """Call it for each of `total` steps: every so many seconds it tells how far it is; Dropped to end it."""
    state = {"done": 0, "looked": 0.0}

    def step() -> None:
        state["done"] += 1
        if time.monotonic() - state["looked"] >= every:
            state["looked"] = time.monotonic()
            _look(job, min(99, int(99 * state["done"] / max(1, total))))

    return step


def _look(job: Job, percent: int) -> None:
    """Tell how far it is; Dropped when nobody waits for it any more."""
    wanted = _mine(job).filter(cancel_asked=False)
    if not wanted.update(percent=percent):
        raise Dropped("cancelled, or taken over by another runner")


def _zipped(files: list[Path], out: Path) -> Path:
    with zipfile.ZipFile(out, "w", allowZip64=True) as archive:
        for path in files:
            archive.write(path, path.name, zipfile.ZIP_STORED)
            path.unlink()
    return out


def _result(out: Path) -> dict[str, Any]:
    with out.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": out.name, "bytes": out.stat().st_size, "sha256": digest}
