"""The operator's pages: sessions, a session with its player, the pipeline. They decide nothing."""

import re
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.http import require_POST, require_safe

from lucid_sessions.access import audit, lockout, reasons, roles
from lucid_sessions.recordings import quota, sessions
from lucid_sessions.recordings.api.figures import session_statistics
from lucid_sessions.recordings.api.filters import SessionFilter
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Gap
from lucid_sessions.recordings.ownership import sessions_of

from . import holding, taking, verifying
from .done import panel_of
from .doors import SIGN_IN, needs, visible
from .figures import rows_of, timeline_of
from .narrowing import narrow
from .standing import look
from .witnessed import is_unexplained, note, question, said, told

PAGE = 25
LOOKED_FOR = ("text", "status", "owner", "project", "environment", "tag", "from", "to")
MICROSECONDS = re.compile(r"[0-9]{1,18}")
VERBS = {"start": sessions.start, "pause": sessions.pause, "resume": sessions.resume, "stop": sessions.stop}


class SignIn(LoginView):
    """Sign in. Unlike the admin's own page it takes users who are no staff, such as viewers and auditors."""

    template_name = "console/sign_in.html"
    redirect_authenticated_user = True
    next_page = cast(str, reverse_lazy("console:home"))

    def form_valid(self, form: Any) -> HttpResponse:
        """Let in, and write it down."""
        audit.record("signed-in", actor=audit.actor_of(self.request, user=form.get_user()))
        return super().form_valid(form)

    def form_invalid(self, form: Any) -> HttpResponse:
        """Not let in, and write it down."""
        lockout.tell_refused(self.request, username=str(form.data.get("username", "")))
        return super().form_invalid(form)


class SignOut(LogoutView):
    """Sign out."""

    next_page = cast(str, SIGN_IN)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Out, and written down who it was."""
        actor = audit.actor_of(request)
        answer = super().post(request, *args, **kwargs)
        if actor.user:
            audit.record("signed-out", actor=actor)
        return answer


@require_safe
@needs("view")
def home(request: HttpRequest) -> HttpResponse:
    """Sessions that the user sees and looks for, newest first, and how far their chunks are."""
    if is_unexplained(request, "sessions.listed"):
        return question(request)
    note(request, "sessions.listed")
    listed = sessions_of(request.user).prefetch_related("owner")
    narrowed = narrow(listed, request.GET, by=SessionFilter, fields=LOOKED_FOR)
    page = Paginator(narrowed.rows, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": rows_of(list(page.object_list)),
        "narrowed": narrowed,
        "sees_all": roles.sees_all(request.user),
        "why": said(request),
        "statuses": [status.value for status in Status],
        "may_steer": request.user.has_perm("recordings.record_session"),
        "full": _filling_up(request.user),
    }
    return render(request, "console/home.html", context)


def _filling_up(user: Any) -> list[quota.Usage]:
    """What is told to whoever steers recordings: of projects' limits those that are his to know of."""
    if not user.has_perm("recordings.record_session"):
        return []
    found, own = quota.warnings(), sessions_of(user)
    if roles.sees_all(user):
        return found
    return [one for one in found if one.project is None or own.filter(project=one.project).exists()]


@require_safe
@needs("view")
def pipeline(request: HttpRequest) -> HttpResponse:
    """How the whole installation stands, for those who see every session."""
    if not roles.sees_all(request.user):
        raise PermissionDenied("It tells of everybody's sessions.")
    if is_unexplained(request, "pipeline.viewed"):
        return question(request)
    note(request, "pipeline.viewed")
    standing = look()
    context = {
        "standing": standing,
        "concerns": list(standing.concerns()),
        "may_administer": request.user.is_staff and request.user.has_perm("recordings.view_chunk"),
    }
    return render(request, "console/pipeline.html", context)


@require_safe
@needs("view")
def session_page(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """One session: its player, its gaps, what proves it."""
    session = visible(request, session_id, deed="session.viewed")
    if is_unexplained(request, "session.viewed", session=str(session_id)):
        return question(request, session=str(session_id))
    note(request, "session.viewed", session=str(session_id))
    (row,) = rows_of([session])
    may_play = request.user.has_perm("recordings.play_session")
    asks_why = may_play and reasons.is_missing(
        "session.played", user=request.user, session=str(session_id), given=""
    )
    context = {
        "session": session,
        "row": row,
        "figures": session_statistics(session),
        "gaps": Gap.objects.filter(session=session.pk, track="screen").order_by("from_us"),
        "may_play": may_play and not asks_why,
        "asks_why": asks_why,
        "done": panel_of(session, request.user),
        "may_steer": request.user.has_perm("recordings.record_session"),
        "copies": taking.offered(request.user, session),
        "verify": verifying.offered(request.user, session),
        "holds": holding.shown(request.user, session),
    }
    return render(request, "console/session.html", context)


@require_safe
@needs("play")
def timeline(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Segments and gaps, for the player's bar; with `since` only those that end later (microseconds)."""
    since = request.GET.get("since", "")
    since_us = int(since) if MICROSECONDS.fullmatch(since) else 0
    session = visible(request, session_id, deed="session.viewed")
    if is_unexplained(request, "session.viewed", session=str(session_id)):
        return JsonResponse({"detail": "Say on the session's page why."}, status=400)
    note(request, "session.viewed", session=str(session_id))
    facts = timeline_of(session, since_us=since_us)
    return JsonResponse(facts, headers={"Cache-Control": "no-store"})


@require_POST
@needs("record")
def steer(request: HttpRequest, session_id: UUID, verb: str) -> HttpResponse:
    """Tell the recorder, and say what came of it."""
    deed = f"session.{verb}"
    session = visible(request, session_id, deed=deed)
    if is_unexplained(request, deed, session=str(session_id)):
        return question(request)
    with told(request, deed, session=str(session_id)):
        VERBS[verb](session)
        messages.success(request, f'"{session.name}": {verb} asked for.')
    return redirect("console:session", session_id=session.pk)


@require_POST
@needs("view")
def explain(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Note why the user wants to see the session; its page and playing ask for that where the policy does."""
    session = visible(request, session_id, deed=reasons.GIVEN)
    outcome = audit.DONE if said(request) else audit.REFUSED
    note(request, reasons.GIVEN, outcome=outcome, session=str(session_id))
    return redirect("console:session", session_id=session.pk)
