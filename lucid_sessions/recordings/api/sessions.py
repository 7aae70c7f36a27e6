"""Sessions over HTTP: create, list, look at, change, delete, and tell the recorder what to do."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from lucid_sessions.access.roles import sees_all
from lucid_sessions.access.visible import VISIBLE_TEXT
from lucid_sessions.errors import Refused

from .. import sessions, shredding
from ..models import Session
from ..ownership import sessions_of
from . import known, rendering
from .bodies import NewSession, SessionBody, SessionChanges, SessionReplacement
from .changes import merged, replaced
from .documents import (
    ACCEPTED,
    CONFIGURATION_ERRORS,
    IF_MATCH,
    IF_MATCH_ERRORS,
    IF_NONE_MATCH,
    NEW_SESSION_EXAMPLES,
    NOT_MODIFIED,
    ONCE,
    ONCE_ERRORS,
    ONE_SESSION_ERRORS,
    Described,
)
from .filters import SessionFilter
from .ownership import no_such_session, session_of
from .pagination import PAGING, Pages
from .permissions import Allowed
from .preconditions import is_known, require_match, tag_of, unchanged
from .problems import HELD, INVALID, NOT_IN_STATE, Problem, refused_as
from .replays import once
from .witnessed import Witnessed, event_beside, tell, written

_VERB = extend_schema(
    request=None,
    parameters=[IF_MATCH],
    responses={200: SessionBody, **ONE_SESSION_ERRORS, **ACCEPTED, **IF_MATCH_ERRORS},
)
_REASON = OpenApiParameter(
    "reason",
    {"type": "string", "minLength": 1, "maxLength": 500, "pattern": VISIBLE_TEXT},
    required=True,
    description="Why; it is kept in the audit.",
)


class Sessions(Witnessed, GenericViewSet[Session]):
    """Sessions that the caller owns, or all of them for roles that see all."""

    serializer_class = SessionBody
    filterset_class = SessionFilter
    pagination_class = Pages
    permission_classes = [Allowed]
    schema = Described()
    queryset = Session.objects.all()
    ordering = tuple(map(str, Session._meta.ordering or ()))
    needs = {
        "list": "view",
        "retrieve": "view",
        "create": "add",
        "partial_update": "change",
        "update": "change",
        "destroy": "delete",
        "start": "record",
        "stop": "record",
        "pause": "record",
        "resume": "record",
    }
    rates = {"list": "status", "retrieve": "status", "create": "create", "destroy": "bulk"}
    deeds = {
        "list": "sessions.listed",
        "retrieve": "session.viewed",
        "create": "session.created",
        "partial_update": "session.changed",
        "update": "session.changed",
        "destroy": "session.deleted",
        **{verb: f"session.{verb}" for verb in ("start", "stop", "pause", "resume")},
    }

    def get_queryset(self) -> QuerySet[Session]:
        """What the caller may see."""
        return sessions_of(self.request.user)

    def count_key(self) -> object:
        """Whose list this is: of those who see all it is one and the same."""
        user: Any = self.request.user
        return "all" if sees_all(user) else user.pk

    @extend_schema(responses={200: SessionBody(many=True), **CONFIGURATION_ERRORS})
    def list(self, request: Request) -> HttpResponse:
        """List sessions, newest first."""
        paginator: Any = self.paginator
        page: Any = None
        if PAGING.issuperset(request.query_params):  # there is nothing to filter by
            newest = partial(known.newest, request.user)
            page = paginator.first_page(request, self, first=newest, of=self.get_queryset)
        if page is None:
            rows = self.filter_queryset(self.get_queryset())
            page = self.paginate_queryset(rendering.columns(rows, known.NEWEST))
        keys = [known.key_of(row) for row in page]
        return paginator.of_texts(rendering.session_texts(keys, reader=request.user))

    @extend_schema(
        request=NewSession,
        parameters=[ONCE],
        responses={201: SessionBody, **CONFIGURATION_ERRORS, **ONCE_ERRORS},
        examples=NEW_SESSION_EXAMPLES,
    )
    def create(self, request: Request) -> Response:
        """Create a session. It has its keys, and is recorded, once it is started."""
        return once(request, lambda made: self._created(request, made))

    def _created(self, request: Request, made: UUID) -> Response:
        session = None
        if "Idempotency-Key" in request.headers:  # without one the id was drawn just now
            session = Session.objects.filter(pk=made).first()
        if session is None:
            session = self._new(request, made)
        tell(request, made=made)
        location = {"Location": request.build_absolute_uri(f"{request.path}/{session.pk}")}
        return Response(rendering.one_session(session), 201, headers=location | tag_of(session))

    def _new(self, request: Request, made: UUID) -> Session:
        body = NewSession.of(request.data)
        body.is_valid(raise_exception=True)
        event = event_beside(request, deed=self.deeds["create"], session=made)
        try:
            with refused_as(INVALID):
                session = sessions.create(**body.arguments(), owner=request.user, id=made, beside=[event])
        except IntegrityError:
            # An earlier request under the same key was slow, not dead, and made it meanwhile; or a later one.
            made_meanwhile = Session.objects.filter(pk=made).first()
            if made_meanwhile is None:
                raise
            return made_meanwhile
        written(request)
        session.created_at = known.as_kept(session.created_at)
        return session

    @extend_schema(
        parameters=[IF_NONE_MATCH], responses={200: SessionBody, **NOT_MODIFIED, **ONE_SESSION_ERRORS}
    )
    def retrieve(self, request: Request, session_id: UUID) -> HttpResponse:
        """Look at one session. Its ETag goes into If-Match of changes, and into If-None-Match."""
        version = known.version_of(request.user, session_id)
        keys = [(session_id.hex, version)] if version is not None else []
        texts = rendering.session_texts(keys, reader=request.user)
        if version is None or not texts:
            raise no_such_session(session_id)
        tag = {"ETag": f'"{version}"'}
        if is_known(request, version):
            return unchanged(tag)
        return rendering.answer_text(texts[0], headers=tag)

    @extend_schema(
        request=SessionChanges,
        parameters=[IF_MATCH],
        responses={200: SessionBody, **ONE_SESSION_ERRORS, **ACCEPTED, **IF_MATCH_ERRORS},
    )
    def partial_update(self, request: Request, session_id: UUID) -> Response:
        """Change what a session is called and how it is kept; how it is recorded only before its start.

        What is recorded never changes: a `source`, or an `rdp_config`, is refused. Create another session.
        """
        body = SessionChanges(data=request.data)
        body.is_valid(raise_exception=True)
        return _shown(merged(request, session_id, body.validated_data))

    @extend_schema(
        request=SessionReplacement,
        parameters=[IF_MATCH],
        responses={200: SessionBody, **ONE_SESSION_ERRORS, **ACCEPTED, **IF_MATCH_ERRORS},
    )
    def update(self, request: Request, session_id: UUID) -> Response:
        """Replace all that may change: what the body leaves out goes back to its default.

        What is recorded stays, and so does its password. A `source` may be sent back as it is answered, of an
        RDP desktop too; `rdp_config`, by which one is created, is refused. For another one create a session.
        """
        body = SessionReplacement(data=request.data)
        body.is_valid(raise_exception=True)
        return _shown(replaced(request, session_id, body.validated_data))

    @extend_schema(
        parameters=[_REASON, IF_MATCH],
        responses={202: SessionBody, **ONE_SESSION_ERRORS, **ACCEPTED, **IF_MATCH_ERRORS},
    )
    def destroy(self, request: Request, session_id: UUID) -> Response:
        """Delete a session for good: its keys go first, then all bytes of it. What is held stays."""
        given = request.query_params.getlist("reason")
        if len(given) != 1 or len(given[0]) > 500 or not re.fullmatch(VISIBLE_TEXT, given[0]):
            raise Problem(INVALID, "reason: say in the query why, in at most 500 characters.")
        why = given[0].strip()
        tell(request, why=why)
        session = session_of(request.user, session_id)
        check = partial(require_match, request)
        try:
            session = shredding.begin(session, cause="api", by=request.user, why=why, check=check)
        except Refused as error:  # the session is as it was read when it was refused
            raise Problem(HELD if session.active_holds else NOT_IN_STATE, str(error)) from error
        return _shown(session, status=202)

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

    def _told(self, request: Request, pk: UUID, act: Callable[..., Session]) -> Response:
        session = session_of(request.user, pk)
        require_match(request, session)
        seen = session.version if request.headers.get("If-Match", "*").strip() != "*" else None
        try:
            return _shown(act(session, seen=seen))
        except Refused as error:
            require_match(request, session)  # it may have changed since, and is at hand as it is now
            raise Problem(NOT_IN_STATE, str(error)) from error


def _shown(session: Session, *, status: int = 200) -> Response:
    return Response(rendering.one_session(session), status, headers=tag_of(session))
