"""What a session's page tells of its verification: whether there is one, how far it is, what was found."""

from typing import Any

from lucid_sessions.access.models import JobStatus
from lucid_sessions.recordings import jobs
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings.ownership import jobs_of

from .job_rows import asked_for, job_rows


def offered(user: Any, session: Session) -> dict[str, Any]:
    """What the page shows: the newest jobs, and what the newest report says, which is in its job's row."""
    shown = asked_for(user, session, (jobs.VERIFY,))
    newest = next((row for row in shown["rows"] if row.job.status == JobStatus.FINISHED), None)
    if newest is None:
        done = jobs_of(user).filter(session=session.pk, kind=jobs.VERIFY, status=JobStatus.FINISHED)
        newest = next(iter(job_rows(done[:1], user=user)), None)
    return {**shown, "newest": newest}
