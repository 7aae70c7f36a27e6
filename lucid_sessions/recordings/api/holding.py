"""Legal holds over HTTP."""

from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from .. import holds
from ..models import Session
from .bodies import Reason
from .documents import ACCEPTED, ONCE, ONCE_ERRORS, ONE_SESSION_ERRORS, Described, problem
from .ownership import session_of
from .permissions import Allowed
from .problems import HELD, MEDIA_TYPE, NO_SUCH_THING, Problem, refused_as
from .replays import once
from .witnessed import Witnessed, tell

NO_HOLD = {
    (404, MEDIA_TYPE): problem("LUCID_ERR_3001: there is no such session, or LUCID_ERR_1012: no such hold."),
    (409, MEDIA_TYPE): problem("LUCID_ERR_3011: it was released before, or you placed it."),
}
NOT_NOW = {
    (409, MEDIA_TYPE): problem(
        "LUCID_ERR_3011: it cannot be held any more; LUCID_ERR_1011: still being answered."
    )
}


class HoldBody(serializers.Serializer[Any]):
    """One hold, with its release when it has one."""

    id = serializers.CharField()
    by = serializers.CharField()
    why = serializers.CharField()
    at = serializers.DateTimeField()
    released_by = serializers.CharField(required=False)
    released_why = serializers.CharField(required=False)
    released_at = serializers.DateTimeField(required=False)


@extend_schema_serializer(many=False)
class HoldsBody(serializers.Serializer[Any]):
    """Whether a session is held, and every hold it ever had."""

    session = serializers.UUIDField()
    held = serializers.BooleanField()
    holds = HoldBody(many=True)


class Holding(Witnessed, ViewSet):
    """While a session is held nothing of it may go, whatever retention, quota or anyone says."""

    permission_classes = [Allowed]
    schema = Described()
    needs = {"list": "view", "place": "hold", "release": "hold"}
    rates = {"list": "status"}
    deeds = {"list": "session.viewed", "place": "session.held", "release": "session.released"}

    @extend_schema(operation_id="holds_list", responses={200: HoldsBody, **ONE_SESSION_ERRORS})
    def list(self, request: Request, session_id: UUID) -> Response:
        """See a session's holds, the released ones too."""
        return _shown(session_of(request.user, session_id))

    @extend_schema(
        request=Reason,
        parameters=[ONCE],
        responses={201: HoldsBody, **ONE_SESSION_ERRORS, **ACCEPTED, **ONCE_ERRORS, **NOT_NOW},
    )
    def place(self, request: Request, session_id: UUID) -> Response:
        """Put a session under hold. The ledger records it."""
        why = _reason(request)
        tell(request, why=why)

        def make(made: UUID) -> Response:
            session = session_of(request.user, session_id)
            with refused_as(HELD):
                hold = holds.place(session, by=_person(request), why=why, id=made)
            tell(request, facts={"hold": hold["id"]})
            session.refresh_from_db()
            return _shown(session, status=201)

        return once(request, make)

    @extend_schema(request=Reason, responses={200: HoldsBody, **ONE_SESSION_ERRORS, **ACCEPTED, **NO_HOLD})
    def release(self, request: Request, session_id: UUID, hold_id: str) -> Response:
        """Release a hold: that takes another person than the one who placed it."""
        session, why = session_of(request.user, session_id), _reason(request)
        tell(request, why=why)
        require_active(session, hold_id)
        with refused_as(HELD):
            holds.release(session, hold_id, by=_person(request), why=why)
        return _shown(session_of(request.user, session_id))


def require_active(session: Session, hold_id: str) -> None:
    """Nothing, if the session is under this hold; else a problem.

    By the whole of its id: the beginning that a command takes is for people who see what they do.
    """
    hold = next((one for one in session.holds if one["id"] == hold_id), None)
    if hold is None:
        raise Problem(
            NO_SUCH_THING, f'Session "{session.name}" never had a hold {hold_id}. Give the whole id.'
        )
    if hold.get("released_at"):
        raise Problem(HELD, f"Hold {hold_id} was released by {hold['released_by']} at {hold['released_at']}.")


def _person(request: Request) -> holds.Person:
    person: Any = request.user
    return cast(holds.Person, person)


def _reason(request: Request) -> str:
    body = Reason(data=request.data)
    body.is_valid(raise_exception=True)
    return str(body.validated_data["reason"])


def _shown(session: Session, *, status: int = 200) -> Response:
    facts = {"session": session.pk, "held": bool(session.active_holds), "holds": session.holds}
    return Response(HoldsBody(facts).data, status)
