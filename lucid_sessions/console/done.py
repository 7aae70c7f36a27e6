"""Whether a session's page has the panel that tells what was done, and whether it asks first why."""

from typing import Any

from lucid_sessions.access import reasons
from lucid_sessions.recordings.account import TRACK
from lucid_sessions.recordings.api.input import Input
from lucid_sessions.recordings.lifecycle import State
from lucid_sessions.recordings.models import Chunk, Session, SessionKey

from .figures import GROWING

SHOWN, ASKS = "shown", "asks"


def panel_of(session: Session, user: Any) -> str:
    """SHOWN, ASKS, or nothing: for whoever may not, and where nothing was heard."""
    if not user.has_perm("recordings.export_session") or not _is_heard(session):
        return ""
    missing = reasons.is_missing(Input.deeds["index"], user=user, session=str(session.pk), given="")
    return ASKS if missing else SHOWN


def _is_heard(session: Session) -> bool:
    """Whether there is such a track, or may yet be."""
    chunks = Chunk.objects.filter(session=session.pk, track=TRACK).exclude(state=State.EXPIRED)
    if chunks.exists():
        return True
    wanted = session.status in GROWING and session.recording_config.get("input") != "none"
    return wanted and SessionKey.objects.filter(session=session.pk, track=TRACK).exists()
