"""Who is let in to a page, and to which session."""

from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest
from django.urls import reverse, reverse_lazy

from lucid_sessions.access import audit
from lucid_sessions.recordings.api.ownership import sessions_of
from lucid_sessions.recordings.models import Session

from .witnessed import note

SIGN_IN = reverse_lazy("console:sign-in")


def needs(verb: str) -> Any:
    """Only for users with that permission; a visitor signs in first, a user without a role is told so."""
    permitted = permission_required(f"recordings.{verb}_session", raise_exception=True)

    def guarded(view: Any) -> Any:
        inside = login_required(permitted(view), login_url=SIGN_IN)

        @wraps(view)
        def door(request: HttpRequest, **place: Any) -> Any:
            if request.method == "POST" and not request.user.is_authenticated:
                return redirect_to_login(_page_of(place), str(SIGN_IN))
            return inside(request, **place)

        return door

    return guarded


def _page_of(place: dict[str, Any]) -> str:
    """Where a form stood whose user had been signed out: signing in does not send it."""
    if "session_id" in place:
        return reverse("console:session", args=[place["session_id"]])
    return reverse("console:jobs")


def visible(request: HttpRequest, pk: UUID, *, deed: str) -> Session:
    """The session; 404 for one of another's, which the audit tells of as a `deed` that was denied."""
    session = sessions_of(request.user).filter(pk=pk).first()
    if session is None:
        note(request, deed, outcome=audit.DENIED, session=str(pk))
        raise Http404("There is no such session, or it is not yours.")
    return session
