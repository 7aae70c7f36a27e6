"""The domain in Django's own admin: sessions with their actions, evidence to look at and never to touch.

Lists are ordered by indexed columns, counted only as far as that is cheap, and filtered without joins or
date trees: on MongoDB those read whole collections.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from lucid_sessions.access import audit, reasons
from lucid_sessions.access.admin import tell
from lucid_sessions.errors import LucidError

from . import requeue, sessions, setbacks, work_admin  # noqa: F401 - work_admin registers its own
from .evidence_admin import Evidence, shortened
from .lifecycle import TRACKS, State, stage_for
from .models import Chunk, Session
from .ownership import sessions_of
from .webhooks import admin as webhooks  # noqa: F401 - registers its own

PUT_BACK = "session.put-back"


def _tell_put_back(page: Evidence, request: HttpRequest, put_back: Callable[[], int]) -> str:
    """Say how many chunks were put back, or why none can be now; how it ended, in the audit's words."""
    try:
        back = put_back()
    except LucidError as error:
        page.message_user(request, str(error), messages.ERROR)
        return audit.outcome_of(error)
    page.message_user(request, f"{back} quarantined chunks are back at work.", messages.SUCCESS)
    return audit.DONE


@admin.register(Session)
class SessionAdmin(Evidence):
    """The sessions that the user sees elsewhere, too. They are described over the API, and steered here."""

    list_display = ("name", "status", "owned_by", "project", "environment", "created_at", "ended_at", "why")
    list_filter = ("status",)
    search_fields = ("name",)
    ordering = ("-created_at", "-id")
    actions = ("start", "pause", "resume", "stop", "put_back")

    def view_on_site(self, session: Session) -> str:
        """Its page in the console, with the player."""
        return reverse("console:session", args=[session.pk])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        """Those that the user may see. Owners come in a second query: rows are not joined."""
        ordering = self.get_ordering(request)
        return sessions_of(request.user).order_by(*ordering).prefetch_related("owner")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The row; where the policy asks why, and nobody has said, the page in the console, which asks."""
        session = self.get_object(request, object_id)
        why_not = session and reasons.is_missing(
            "session.viewed", user=request.user, session=str(session.pk), given=""
        )
        if session and why_not and self.has_view_permission(request, session):
            return redirect(self.view_on_site(session))
        return super().change_view(request, object_id, *args, **kwargs)

    @admin.display(description="owner", empty_value="-")
    def owned_by(self, session: Session) -> Any:
        """The owner's name. The column itself would bring a join."""
        return session.owner

    @admin.display(description="reason")
    def why(self, session: Session) -> str:
        """The beginning of the reason; the row's page has all of it."""
        return shortened(session.reason)

    def has_record_permission(self, request: HttpRequest) -> bool:
        """May this user steer recorders?"""
        return bool(request.user.has_perm("recordings.record_session"))

    @admin.action(description="Start recording", permissions=["record"])
    def start(self, request: HttpRequest, rows: "QuerySet[Session]") -> None:
        self._each(request, rows, sessions.start)

    @admin.action(description="Pause recording", permissions=["record"])
    def pause(self, request: HttpRequest, rows: "QuerySet[Session]") -> None:
        self._each(request, rows, sessions.pause)

    @admin.action(description="Resume recording", permissions=["record"])
    def resume(self, request: HttpRequest, rows: "QuerySet[Session]") -> None:
        self._each(request, rows, sessions.resume)

    @admin.action(description="Stop recording", permissions=["record"])
    def stop(self, request: HttpRequest, rows: "QuerySet[Session]") -> None:
        self._each(request, rows, sessions.stop)

    @admin.action(description="Put quarantined chunks back to work", permissions=["record"])
    def put_back(self, request: HttpRequest, rows: "QuerySet[Session]") -> None:
        outcome = _tell_put_back(
            self, request, lambda: sum(requeue.requeue(session=str(row.pk)) for row in rows)
        )
        for row in rows:
            tell(request, PUT_BACK, outcome=outcome, session=str(row.pk))

    def _each(
        self, request: HttpRequest, rows: "QuerySet[Session]", act: Callable[[Session], Session]
    ) -> None:
        """Each on its own, with its own event: one that refuses says why, and the others go on."""
        verb = act.__name__
        deed = f"session.{verb}"
        for session in rows:
            about, outcome = {"session": str(session.pk)}, audit.DONE
            if self.is_unexplained(request, deed, name=f'"{session.name}"', **about):
                continue
            try:
                act(session)
            except LucidError as error:
                outcome = audit.outcome_of(error)
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.log_change(request, session, f"told to {verb}")
                self.message_user(request, f'"{session.name}": {verb} asked for.', messages.SUCCESS)
            tell(request, deed, outcome=outcome, **about)


class Quarantined(admin.SimpleListFilter):
    """Only what a person has to look at, or only the rest."""

    title = "quarantined"
    parameter_name = "quarantined"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, _request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.value() is None:
            return rows
        return rows.filter(quarantined_at__isnull=self.value() == "no")


class Track(admin.SimpleListFilter):
    """One kind of track. Named here: asking the table which there are would read all of it."""

    title = "track"
    parameter_name = "track"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in TRACKS]

    def queryset(self, _request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        return rows.filter(track=self.value()) if self.value() in TRACKS else rows


@admin.register(Chunk)
class ChunkAdmin(Evidence):
    """Chunks: how far each has got, and what holds it up."""

    list_display = (
        *("__str__", "of_session", "state", "stage", "quarantined_at", "attempts", "why", "next_step"),
        "created_at",
    )
    readonly_fields = ("stage", "next_step")
    list_filter = ("state", Quarantined, Track)
    # Shows the search box; what is searched for is in `get_search_results`.
    search_fields = ("blob",)
    search_help_text = "A whole blob or leaf hash, or the id of a chunk or a session."
    ordering = ("-created_at", "-id")
    actions = ("put_back",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chunk]:
        """Sessions come in a second query: rows are not joined."""
        rows: QuerySet[Chunk] = super().get_queryset(request)
        return rows.prefetch_related("session")

    @admin.display(description="session")
    def of_session(self, chunk: Chunk) -> str:
        """The session's name. The column itself would bring a join."""
        return chunk.session.name

    @admin.display(description="reason")
    def why(self, chunk: Chunk) -> str:
        """The beginning of the reason; the row's page has all of it."""
        return shortened(chunk.reason)

    @admin.display(description="waits for")
    def stage(self, chunk: Chunk) -> str:
        """The stage that comes next; empty when nothing does."""
        stage = stage_for(chunk.state)
        return stage.name if stage else ""

    @admin.display(description="next step")
    def next_step(self, chunk: Chunk) -> str:
        """What a person does about it; empty when there is nothing to do."""
        return setbacks.next_step(chunk)

    def get_search_results(
        self, _request: HttpRequest, rows: "QuerySet[Chunk]", term: str
    ) -> tuple["QuerySet[Chunk]", bool]:
        """Exact matches only, each one look-up in an index: a part of a hash would read every row."""
        term = term.strip().lower()
        if not term:
            return rows, False
        found = Q(blob=term) | Q(leaf=term)
        try:
            name = UUID(term)
        except ValueError:
            return rows.filter(found), False
        return rows.filter(Q(pk=name) | Q(session=name)), False

    def has_record_permission(self, request: HttpRequest) -> bool:
        """May this user put chunks back to work?"""
        return bool(request.user.has_perm("recordings.record_session"))

    @admin.action(description="Put back to work", permissions=["record"])
    def put_back(self, request: HttpRequest, rows: "QuerySet[Chunk]") -> None:
        chunks = list(rows.filter(quarantined_at__isnull=False).exclude(state=State.EXPIRED)[: requeue.MOST])
        outcome = _tell_put_back(self, request, lambda: requeue.put_back(chunks))
        for chunk in chunks:
            if outcome == audit.DONE:
                self.log_change(request, chunk, "put back to work")
            tell(request, PUT_BACK, outcome=outcome, session=str(chunk.session_id), item=str(chunk.pk))
