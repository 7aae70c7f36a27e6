"""Sessions over HTTP: create, list, look at, change, and tell the recorder what to do."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from .. import sessions
from ..lifecycle import Status
from ..models import Session
from .bodies import NewSession, SessionBody, SessionChanges
from .documents import ACCEPTED, CONFIGURATION_ERRORS, NEW_SESSION_EXAMPLES, ONE_SESSION_ERRORS, Described
from .filters import SessionFilter
from .ownership import session_of, sessions_of
from .pagination import Pages
from .permissions import Allowed
from .problems import CONFLICT, INVALID, NOT_IN_STATE, Problem, refused_as

# A change reads, merges and writes; another's write in between starts it over, this many times.
ATTEMPTS = 5

_VERB = extend_schema(request=None, responses={200: SessionBody, **ONE_SESSION_ERRORS, **ACCEPTED})


class Sessions(GenericViewSet[Session]):
    """Sessions that the caller owns, or all of them for roles that see all."""

    serializer_class = SessionBody
    filterset_class = SessionFilter
    pagination_class = Pages
    permission_classes = [Allowed]
    schema = Described()
    queryset = Session.objects.all()
    needs = {
        "list": "view",
        "retrieve": "view",
        "create": "add",
        "partial_update": "change",
        "start": "record",
        "stop": "record",
        "pause": "record",
        "resume": "record",
    }

    def get_queryset(self) -> QuerySet[Session]:
        """What the caller may see; owners in a second query rather than a join."""
        return sessions_of(self.request.user).prefetch_related("owner")

    @extend_schema(responses={200: SessionBody(many=True), **CONFIGURATION_ERRORS})
    def list(self, _request: Request) -> Response:
        """List sessions, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(SessionBody(page, many=True).data)

    @extend_schema(
        request=NewSession,
        responses={201: SessionBody, **CONFIGURATION_ERRORS},
        examples=NEW_SESSION_EXAMPLES,
    )
    def create(self, request: Request) -> Response:
        """Create a session with its keys. Nothing is recorded until it is started."""
        body = NewSession(data=request.data)
        body.is_valid(raise_exception=True)
        with refused_as(INVALID):
            session = sessions.create(**body.arguments(), owner=request.user)
        # As it is kept: databases differ in how fine their times are.
        session.refresh_from_db()
        location = {"Location": request.build_absolute_uri(f"{request.path}/{session.pk}")}
        return Response(SessionBody(session).data, 201, headers=location)

    @extend_schema(responses={200: SessionBody, **ONE_SESSION_ERRORS})
    def retrieve(self, request: Request, session_id: UUID) -> Response:
        """Look at one session."""
        return Response(SessionBody(session_of(request.user, session_id)).data)

    @extend_schema(request=SessionChanges, responses={200: SessionBody, **ONE_SESSION_ERRORS, **ACCEPTED})
    def partial_update(self, request: Request, session_id: UUID) -> Response:
        """Change what a session is called and how it is kept; how it is recorded only before its start."""
        body = SessionChanges(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(SessionBody(_changed(request.user, session_id, body.validated_data)).data)

    @_VERB
    def start(self, request: Request, session_id: UUID) -> Response:
        """Have the session recorded: the first recorder with room takes it."""
        return self._told(request, session_id, sessions.start)

    @_VERB
    def stop(self, request: Request, session_id: UUID) -> Response:
        """End the recording; what was recorded is closed, archived and sealed. Twice is once."""
        return self._told(request, session_id, sessions.stop)

    @_VERB
    def pause(self, request: Request, session_id: UUID) -> Response:
        """Interrupt the recording; the pause becomes a gap with its reason."""
        return self._told(request, session_id, sessions.pause)

    @_VERB
    def resume(self, request: Request, session_id: UUID) -> Response:
        """Go on after a pause."""
        return self._told(request, session_id, sessions.resume)

    def _told(self, request: Request, pk: UUID, act: Callable[[Session], Session]) -> Response:
        session = session_of(request.user, pk)
        with refused_as(NOT_IN_STATE):
            session = act(session)
        return Response(SessionBody(session).data)


def _changed(user: Any, pk: UUID, given: dict[str, Any]) -> Session:
    """The session with `given` merged in, by one conditional update on the version that was read."""
    for _ in range(ATTEMPTS):
        session = session_of(user, pk)
        changes = _merged(session, given)
        same = Session.objects.filter(pk=pk, version=session.version, status=session.status)
        if not changes or same.update(version=F("version") + 1, **changes):
            return session_of(user, pk)
    raise Problem(CONFLICT, f'Session "{session.name}" is being changed by others. Read it and try again.')


def _merged(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    if "recording_config" in given and session.status != Status.CREATED:
        raise Problem(
            NOT_IN_STATE,
            f'recording_config: session "{session.name}" is {session.status}; how it is recorded can change '
            "only before it is started.",
        )
    changes: dict[str, Any] = {name: given[name] for name in ("name", "description") if name in given}
    for name in ("recording_config", "storage_config"):
        if name in given:
            changes[name] = getattr(session, name) | given[name]
    return changes | given.get("metadata", {})
