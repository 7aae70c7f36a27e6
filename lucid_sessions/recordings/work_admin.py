"""What is at work, in Django's own admin: clients' jobs, which can be cancelled, and the recorders' hosts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from lucid_sessions.access.admin import tell
from lucid_sessions.access.models import Job, JobStatus, User
from lucid_sessions.access.roles import manages, sees_all

from . import jobs
from .evidence_admin import Evidence, shortened
from .models import RecorderHost, Session
from .sessions import HOST_SEEN_WITHIN, living_hosts

CANCELLED = "job.cancelled"


def _name(shown: Sequence[Any]) -> None:
    """Give each job the names of its session and of its user: in two queries, however many they are."""
    sessions = Session.objects.filter(pk__in={job.session for job in shown})
    users = User.objects.filter(pk__in={job.user for job in shown})
    of_sessions = dict(sessions.order_by().values_list("pk", "name"))
    of_users = dict(users.order_by().values_list("pk", "username"))
    for job in shown:
        job.session_name = of_sessions.get(job.session, str(job.session))
        job.user_name = of_users.get(job.user, str(job.user))


class NamedJobs(ChangeList):
    """A page of jobs with the names of their sessions and users: rows are not joined."""

    def get_results(self, request: HttpRequest) -> None:
        """The page's rows, named."""
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        _name(self.result_list)


class Kind(admin.SimpleListFilter):
    """What was asked for. Named here: asking the table which kinds there are would read all of it."""

    title = parameter_name = "kind"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in jobs.KINDS]

    def queryset(self, _request: HttpRequest, rows: "QuerySet[Job]") -> "QuerySet[Job]":
        return rows.filter(kind=self.value()) if self.value() in jobs.KINDS else rows


class AtWork(Evidence):
    """Rows that are gone when their work is, for those who see the like over the API and in the console."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


@admin.register(Job)
class JobAdmin(AtWork):
    """Exports, evidence and verifications that clients asked for, until their results go."""

    list_display = ("kind", "of_session", "asked_by", "status", "done", "why", "created_at", "ended_at")
    fields = (
        *("kind", "of_session", "asked_by", "options", "status", "done", "reason", "cancel_asked", "result"),
        *("request_id", "attempts", "next_attempt_at", "lease_until", "fence"),
        *("created_at", "ended_at", "expires_at"),
    )
    list_filter = ("status", Kind)
    # Shows the search box; what is searched for is in `get_search_results`.
    search_fields = ("id",)
    search_help_text = "The id of a job or a session, or the whole name of a user."
    ordering = ("-created_at", "-id")
    actions = ("cancel",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """May this user see everybody's jobs?"""
        return sees_all(request.user) or super().has_view_permission(request, obj)

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """May this user decide about what is others'?"""
        return manages(request.user)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002 - Django's
        return NamedJobs

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Job | None:
        """The job, named."""
        job: Job | None = super().get_object(request, object_id, from_field)
        _name([job] if job else [])
        return job

    def get_search_results(
        self, _request: HttpRequest, rows: "QuerySet[Job]", term: str
    ) -> tuple["QuerySet[Job]", bool]:
        """Exact matches only."""
        term = term.strip()
        if not term:
            return rows, False
        try:
            return rows.filter(Q(pk=UUID(term)) | Q(session=UUID(term))), False
        except ValueError:
            users = User.objects.filter(username=term).values_list("pk", flat=True)
            return rows.filter(user__in=list(users)), False

    @admin.display(description="session")
    def of_session(self, job: Any) -> str:
        """The session's name, which leads to its page in the console."""
        return format_html(
            '<a href="{}">{}</a>', reverse("console:session", args=[job.session]), job.session_name
        )

    @admin.display(description="asked by")
    def asked_by(self, job: Any) -> str:
        """The name of who asked for it."""
        return str(job.user_name)

    @admin.display(description="done")
    def done(self, job: Job) -> str:
        """How far it is."""
        return f"{job.percent} %"

    @admin.display(description="reason")
    def why(self, job: Job) -> str:
        """The beginning of the reason; the row's page has all of it."""
        return shortened(job.reason)

    @admin.action(description="Cancel", permissions=["manage"])
    def cancel(self, request: HttpRequest, rows: "QuerySet[Job]") -> None:
        """Each ends as over the API; one that is over stays as it is."""
        for asked in rows:
            about, name = (
                {"session": str(asked.session), "item": str(asked.pk)},
                f"The {asked.kind} {asked.pk}",
            )
            if self.is_unexplained(request, CANCELLED, name=name, **about):
                continue
            job = jobs.cancel(asked)
            tell(request, CANCELLED, **about)
            ends = job.status == JobStatus.RUNNING and job.cancel_asked
            cancelled = job.status == JobStatus.CANCELLED
            now = "told to stop" if ends else job.status
            self.log_change(request, job, f"asked to be cancelled; it is {now}")
            level = messages.SUCCESS if ends or cancelled else messages.WARNING
            self.message_user(request, f"{name} is {now}.", level)


class Living(admin.SimpleListFilter):
    """Only those that report, or only those that are silent."""

    title, parameter_name = "reports", "living"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, _request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.value() not in ("yes", "no"):
            return rows
        living = list(living_hosts().values_list("pk", flat=True))
        return rows.filter(pk__in=living) if self.value() == "yes" else rows.exclude(pk__in=living)


@admin.register(RecorderHost)
class RecorderHostAdmin(AtWork):
    """Recorders' hosts, each by its spool: whether it reports, and takes a further session."""

    list_display = ("name", "spool", "living", "seen_at", "sessions", "cores", "why")
    list_filter = (Living,)
    search_fields = ("=spool", "=name")
    search_help_text = "The whole name of a host, or its spool."
    ordering = ("name", "spool")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """May this user see what the whole system does?"""
        return manages(request.user) or super().has_view_permission(request, obj)

    @admin.display(description="reports", boolean=True)
    def living(self, host: RecorderHost) -> bool:
        """Whether it was heard from just now."""
        return abs(timezone.now() - host.seen_at) < HOST_SEEN_WITHIN

    @admin.display(description="cores in use")
    def cores(self, host: RecorderHost) -> str:
        """What its recorders use, of what they may use."""
        figures = host.figures or {}
        return f"{figures['used']:g} of {figures['limit']:g}" if {"used", "limit"} <= set(figures) else "-"

    @admin.display(description="takes no further session because")
    def why(self, host: RecorderHost) -> str:
        """The beginning of the reason; the row's page has all of it."""
        return shortened(host.refusal)
