"""What a change may not bring about by the way: that a session goes sooner, or that its recording ends."""

from copy import copy
from typing import Any

from rest_framework.request import Request

from .. import eviction, quota, retention
from ..lifecycle import Status
from ..models import Session
from .permissions import may
from .problems import NOT_PERMITTED, Problem


def require_innocent(request: Request, session: Session, changes: dict[str, Any]) -> None:
    """403 for changes that delete, or stop, in the end, if the user may change sessions and not do that."""
    if session.status == Status.CREATED:
        return
    changed = copy(session)
    for name, value in changes.items():
        setattr(changed, name, value)
    if not may(request.user, "delete", auth=request.auth) and (why := _goes_sooner(session, changed)):
        raise Problem(NOT_PERMITTED, f"{why} Only who may delete it has it go sooner.")
    if not may(request.user, "record", auth=request.auth) and (why := _ends_sooner(session, changed)):
        raise Problem(NOT_PERMITTED, f"{why} Only who may stop a recording has it end by that.")


def _goes_sooner(session: Session, changed: Session) -> str:
    """Why the session might go before it would have, so changed; empty if it cannot."""
    policies = retention.known_policies()
    old, new = (retention.rule_for(one, policies) for one in (session, changed))
    if retention.lost_rule(session) and not retention.lost_rule(changed):
        return (
            f'Session "{session.name}" was recovered, and stays, as nobody knows any more how long it was to '
            f"be kept; so changed it would be {new.days} days, by {new.origin}."
        )
    if new.days < old.days:
        return (
            f'Session "{session.name}" is kept {old.days} days, by {old.origin}; so changed it would be '
            f"{new.days}, by {new.origin}."
        )
    if changed.project != session.project and eviction.makes_room_in(changed.project):
        return (
            f"Project {changed.project} has a limit: when that is reached, the oldest of its sessions go, to "
            "make room."
        )
    return ""


def _ends_sooner(session: Session, changed: Session) -> str:
    """Why what is recorded might end before it would have, so changed; empty if it cannot."""
    if session.status not in quota.RUNNING:
        return ""
    old, new = (quota.session_limit(one) for one in (session, changed))
    strict = [one.storage_config.get("when_full") == "fail_closed" for one in (session, changed)]
    if (new and not 0 < old <= new) or strict == [False, True]:
        return f'Session "{session.name}" is being recorded: max_size_gb and when_full can end that.'
    return ""
