"""Jobs for a session, such as copies that are taken of it: asked for here, looked at, downloaded."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from lucid_sessions.access import audit
from lucid_sessions.access.models import Job, JobStatus
from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import job_results, jobs
from lucid_sessions.recordings.api.filters import JobFilter
from lucid_sessions.recordings.api.kinds import ASKED, DOWNLOADED, NEEDS, SOME
from lucid_sessions.recordings.api.ownership import listed_jobs, may_cancel, require_there
from lucid_sessions.recordings.api.rates import require_turn
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.models import Session

from .doors import needs, visible, visible_job
from .job_rows import asked_for, job_rows
from .narrowing import narrow
from .once import Once
from .witnessed import is_unexplained, note, question, said, told

PAGE = 25
COPIES = {jobs.EXPORT: "The video", jobs.EVIDENCE: "The evidence bundle"}
KINDS = {**COPIES, jobs.VERIFY: "The verification"}
OPTIONS = {jobs.EXPORT: "one_file", jobs.EVIDENCE: "disclose", jobs.VERIFY: "deep"}


class Wanted(Once):
    """What is asked for; of a choice that is not made there is nothing in the job's options."""

    one_file = forms.BooleanField(required=False)
    disclose = forms.MultipleChoiceField(choices=[(one, one) for one in ("media", "keys")], required=False)
    deep = forms.BooleanField(required=False)

    def options(self, kind: str) -> dict[str, Any]:
        """Those of the job."""
        name = OPTIONS[kind]
        chosen = self.cleaned_data[name]
        return {name: chosen} if chosen else {}


def offered(user: Any, session: Session) -> dict[str, Any]:
    """What a session's page shows of copies; nothing to whoever may not export."""
    if not user.has_perm("recordings.export_session"):
        return {}
    log_key = ""
    with suppress(LucidError, OSError):  # what is on the page for orientation does not keep the page away
        log_key = installation().keys.log_vkey
    return {
        **asked_for(user, session, COPIES),
        "hours": settings.LUCID_RESULT_HOURS,
        "bundle": f"{session.pk.hex}-evidence.zip",
        "log_key": log_key,
    }


def asks(kind: str) -> Callable[..., HttpResponse]:
    """The view that has a job of this kind done; twice by the same form is once."""
    deed = ASKED[kind]

    @require_POST
    @needs(NEEDS[kind])
    def ask(request: HttpRequest, session_id: UUID) -> HttpResponse:
        session = visible(request, session_id, deed=deed)
        if is_unexplained(request, deed, session=str(session_id)):
            return question(request)
        with told(request, deed, session=str(session_id)) as event:
            require_turn(request, "bulk")
            require_there(session)
            event["facts"] = _asked(request, session, kind)
        return redirect("console:session", session_id=session.pk)

    return ask


def _asked(request: HttpRequest, session: Session, kind: str) -> dict[str, Any]:
    """What the audit is to tell of the job that was made, or had been made before."""
    form = Wanted(request.POST)
    form.require_valid()
    user: Any = request.user
    options = form.options(kind)
    made = form.id_of(user.pk, session.pk, kind, options)
    known = Job.objects.filter(pk=made).exists()
    job = jobs.submit(kind, session, user=user.pk, options=options, id=made)
    if job.status in job_results.OPEN:
        shown = "Get a copy" if kind in COPIES else "Verify"
        messages.success(
            request, f'{KINDS[kind]} of "{session.name}" was asked for. {shown} shows how far it is.'
        )
    else:
        messages.info(
            request, f"{KINDS[kind]} was asked for before, and is {job.status}. To begin anew, ask again."
        )
    return {"replayed": True, "made": str(made)} if known else {"job": str(made), **options}


@require_safe
@needs(*SOME)
def listed(request: HttpRequest) -> HttpResponse:
    """The user's jobs, or everybody's for who sees all sessions; newest first."""
    if is_unexplained(request, "jobs.listed"):
        return question(request)
    note(request, "jobs.listed")
    narrowed = narrow(listed_jobs(request.user), request.GET, by=JobFilter, fields=("status", "session"))
    page = Paginator(narrowed.rows, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": job_rows(page.object_list, user=request.user),
        "narrowed": narrowed,
        "why": said(request),
        "statuses": JobStatus.values,
        "hours": settings.LUCID_RESULT_HOURS,
    }
    return render(request, "console/jobs.html", context)


@require_POST
@needs(*SOME)
def cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Cancel a job; one that is over stays as it is."""
    job = visible_job(request, job_id, deed="job.cancelled")
    if is_unexplained(request, "job.cancelled", item=str(job_id)):
        return question(request)
    about: dict[str, Any] = {"session": str(job.session), "item": str(job_id)}
    if not may_cancel(request.user, job):
        note(request, "job.cancelled", outcome=audit.DENIED, **about)
        raise PermissionDenied("It is another's.")
    job = jobs.cancel(job)
    note(request, "job.cancelled", **about)
    if job.status == JobStatus.CANCELLED:
        messages.success(request, "Cancelled.")
    elif job.status == JobStatus.RUNNING:
        messages.success(request, "It is being cancelled: whoever works on it stops in a moment.")
    else:
        messages.info(request, f"It was over before: it is {job.status}.")
    return redirect(_back(request))


@require_safe
@needs(*SOME)
def result(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """On to the download, which the API gives out, and tells the audit; here only the reason is asked for."""
    job = visible_job(request, job_id, deed=DOWNLOADED[jobs.EXPORT])
    deed = DOWNLOADED[job.kind]
    if is_unexplained(request, deed, item=str(job_id)):
        return question(request)
    if job_results.result_path(job) is None:
        about: dict[str, Any] = {"session": str(job.session), "item": str(job_id)}
        note(request, deed, outcome=audit.REFUSED, **about)
        messages.error(request, f"That job is {job.status}, or its result is gone: ask for another.")
        return redirect("console:jobs")
    why = said(request)
    address = reverse("api:job-result", args=[job_id])
    return redirect(f"{address}?{urlencode({'reason': why})}" if why else address)


def _back(request: HttpRequest) -> str:
    """The page that the form was on."""
    wanted = request.POST.get("next", "")
    here = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if here else reverse("console:jobs")
