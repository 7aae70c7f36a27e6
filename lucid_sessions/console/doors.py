"""Who is let in to a page, and to which session or job."""

from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth.decorators import login_required, user_passes_test
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.urls import reverse, reverse_lazy
from django.views.decorators.cache import never_cache

from lucid_sessions.access import audit
from lucid_sessions.access.models import Job
from lucid_sessions.recordings.api.kinds import may_have
from lucid_sessions.recordings.api.permissions import may
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings.ownership import jobs_of, sessions_of

from .witnessed import note

Row = TypeVar("Row", bound=Model)
SIGN_IN = reverse_lazy("console:sign-in")


def needs(*verbs: str) -> Any:
    """Only for users with one of these permissions; visitors sign in first, one without a role is told so."""

    def is_let_in(user: Any) -> bool:
        if not any(may(user, verb) for verb in verbs):
            raise PermissionDenied("Your role does not allow this.")
        return True

    def guarded(view: Any) -> Any:
        # Nor is it kept by the browser: who signs out and leaves does not leave it to whoever goes back.
        inside = never_cache(login_required(user_passes_test(is_let_in)(view), login_url=SIGN_IN))

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
    return _one_of(sessions_of(request.user), pk, request, deed, session=str(pk))


def visible_job(request: HttpRequest, pk: UUID, *, deed: str) -> Job:
    """The same of a job; one of a kind that takes more than the user may is refused."""
    job = _one_of(jobs_of(request.user), pk, request, deed, item=str(pk))
    if not may_have(request.user, job.kind):
        raise PermissionDenied(f"Your role does not allow jobs of the kind {job.kind}.")
    return job


def _one_of(rows: "QuerySet[Row]", pk: UUID, request: HttpRequest, deed: str, **about: str) -> Row:
    row = rows.filter(pk=pk).first()
    if row is None:
        note(request, deed, outcome=audit.DENIED, **about)
        raise Http404(f"There is no such {rows.model._meta.verbose_name}, or it is not yours.")
    return row
