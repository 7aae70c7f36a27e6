"""What a session's page tells of its verification: whether there is one, how far it is, what was found."""

from typing import Any

from lucid_sessions.access import reasons
from lucid_sessions.access.models import JobStatus, uuid7
from lucid_sessions.recordings import jobs
from lucid_sessions.recordings.api.kinds import ASKED
from lucid_sessions.recordings.api.ownership import jobs_of
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings.tombstones import GONE

from .job_rows import job_rows

RECENT = 3


def offered(user: Any, session: Session) -> dict[str, Any]:
    """What the page shows: the newest jobs, and what the newest report says, which is in its job's row."""
    mine = jobs_of(user).filter(session=session.pk, kind=jobs.VERIFY)
    found = list(mine[: RECENT + 1])
    done = list(mine.filter(status=JobStatus.FINISHED)[:1])
    rows = job_rows([*done, *found[:RECENT]], user=user)
    asked = {"user": user, "session": str(session.pk), "given": ""}
    return {
        "id": uuid7(),
        "there": session.status not in GONE,
        "rows": rows[len(done) :],
        "more": len(found) > RECENT,
        "newest": rows[0] if done else None,
        "why": reasons.is_missing(ASKED[jobs.VERIFY], **asked),
    }
