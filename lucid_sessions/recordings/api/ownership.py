"""What is answered for sessions and jobs: others' do not exist for a user."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from lucid_sessions.access.models import Job
from lucid_sessions.access.roles import manages

from ..jobs import KINDS
from ..models import Chunk, Session
from ..ownership import jobs_of, sessions_of
from ..tombstones import GONE
from . import known
from .kinds import may_have
from .problems import CHUNK_NOT_FOUND, NOT_IN_STATE, SESSION_NOT_FOUND, Problem


def listed_jobs(user: Any, *, auth: Any = None) -> QuerySet[Job]:
    """Those of them that the user may have, with what he signed in by."""
    kinds = [kind for kind in KINDS if may_have(user, kind, auth=auth)]
    rows = jobs_of(user)
    return rows if len(kinds) == len(KINDS) else rows.filter(kind__in=kinds)


def may_cancel(user: Any, job: Job) -> bool:
    """Whether the user may: who asked for the job may, and who manages sessions."""
    return bool(job.user == user.pk or manages(user))


def session_of(user: Any, pk: UUID) -> Session:
    """One of those sessions; the same 404 whether it is another's or nobody's."""
    session = sessions_of(user).filter(pk=pk).first()
    if session is None:
        raise no_such_session(pk)
    return session


def require_session(user: Any, pk: UUID) -> None:
    """Nothing, if it is one of those sessions; else that 404. Cheaper than having it."""
    if known.version_of(user, pk) is None:
        raise no_such_session(pk)


def require_there(session: Session) -> None:
    """409 once it is being deleted: from then on nothing of it changes, and nothing is made of it."""
    if session.status in GONE:
        gone = f'Session "{session.name}" is {session.status}: it cannot change any more.'
        raise Problem(NOT_IN_STATE, gone)


def no_such_session(pk: UUID) -> Problem:
    """What is answered for one that is not there, and for one of another's."""
    return Problem(SESSION_NOT_FOUND, f"There is no session {pk}, or it is not yours.")


def chunk_of(session: Session, pk: UUID) -> Chunk:
    """One chunk of a session that was already found to be visible."""
    chunk = Chunk.objects.filter(pk=pk, session=session.pk).first()
    if chunk is None:
        raise Problem(CHUNK_NOT_FOUND, f'Session "{session.name}" has no chunk {pk}.')
    return chunk
