"""Legal holds on a session's page: who placed which and why, placing one, releasing another's."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from lucid_sessions.access.models import uuid7
from lucid_sessions.recordings import holds
from lucid_sessions.recordings.api.holding import require_active
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings.tombstones import GONE

from .doors import needs, visible
from .once import Deed, Once
from .witnessed import is_unexplained, question, told

PLACED, RELEASED = "session.held", "session.released"


class Reason(Deed):
    """Why; that there is one, and how long it may be, is for the hold to say."""

    reason = forms.CharField(required=False)


class NewHold(Reason, Once):
    """A hold to be placed."""


@dataclass(frozen=True)
class HoldRow:
    """One hold, with its release when it has one."""

    hold: holds.Hold
    is_own: bool

    @property
    def at(self) -> datetime:
        """Since when."""
        return datetime.fromisoformat(self.hold["at"])

    @property
    def released_at(self) -> datetime | None:
        """Until when."""
        over = self.hold.get("released_at")
        return datetime.fromisoformat(over) if over else None


def shown(user: Any, session: Session) -> dict[str, Any]:
    """What a session's page shows of holds: each that it ever had, newest first."""
    return {
        "id": uuid7(),
        "rows": [HoldRow(one, is_own=one["who"] == str(user.pk)) for one in reversed(session.holds)],
        "may": user.has_perm(holds.PERMISSION) and session.status not in GONE,
        "most": holds.MOST_WHY,
    }


@require_POST
@needs("hold")
def place(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Put the session under hold; twice by the same form is once."""
    session = visible(request, session_id, deed=PLACED)
    if is_unexplained(request, PLACED, session=str(session_id)):
        return question(request)
    form = NewHold(request.POST)
    person: Any = request.user
    with told(request, PLACED, session=str(session_id)) as event:
        form.require_valid()
        why = form.cleaned_data["reason"]
        made = form.id_of(person.pk, session.pk, "hold", why)
        hold = holds.place(session, by=person, why=why, id=made)
        event["facts"] = {"hold": hold["id"]}
        messages.success(request, f'"{session.name}" is under hold: nothing of it goes.')
    return redirect("console:session", session_id=session.pk)


@require_POST
@needs("hold")
def release(request: HttpRequest, session_id: UUID, hold_id: str) -> HttpResponse:
    """Release a hold that another person placed."""
    session = visible(request, session_id, deed=RELEASED)
    if is_unexplained(request, RELEASED, session=str(session_id)):
        return question(request)
    form = Reason(request.POST)
    person: Any = request.user
    with told(request, RELEASED, session=str(session_id), item=hold_id[:120]):
        form.require_valid()
        require_active(session, hold_id)
        hold = holds.release(session, hold_id, by=person, why=form.cleaned_data["reason"])
        messages.success(request, f"The hold that {hold['by']} placed is released.")
    return redirect("console:session", session_id=session.pk)
