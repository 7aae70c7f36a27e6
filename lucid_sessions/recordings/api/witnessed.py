"""Views whose every answer is an audit event before it is given."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import structlog
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.http import HttpResponseBase, JsonResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from lucid_sessions.access import audit, reasons
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.access.visible import VISIBLE

from .problems import INVALID, MEDIA_TYPE, STORAGE, Problem, document
from .rates import Rates, headers_of

log = structlog.get_logger(__name__)

ENCODED = "Percent-encode what is no ASCII: Pr%C3%BCfung."
LOOKS = ("GET", "HEAD")
OUTCOMES = {401: audit.DENIED, 403: audit.DENIED, 404: audit.DENIED, 429: audit.DENIED}


class Witnessed(APIView):
    """Base of view sets: audits, limits rates, and says so in headers.

    `deeds` names the event of each action. What only looks (GET, HEAD) counts once a minute for the same user
    and thing; all else each time.
    """

    deeds: Mapping[str, str] = {}
    rates: Mapping[str, str] = {}
    throttle_classes = [Rates]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """As ever, and refused where the policy asks why and nobody said."""
        # Before it is known in what form to answer: whatever is refused, it is written down who asked.
        self.perform_authentication(request)
        super().initial(request, *args, **kwargs)
        deed = self.deed()
        if deed:
            _require_readable_reason(request)
        if deed not in settings.LUCID_REASON_REQUIRED:
            return
        body = request.data if isinstance(request.data, dict) else {}
        given = said(request) or str(body.get("reason") or "").strip()
        tell(request, why=given)
        session = str(kwargs.get("session_id", ""))
        if reasons.is_missing(deed, user=request.user, session=session, given=given):
            raise Problem(
                INVALID,
                f"{reasons.HEADER}: say in this header why; the policy asks for it here. {ENCODED} "
                "Where no header can be sent, ?reason= says it.",
            )

    def deed(self) -> str | None:
        """The event of what is asked for; None: it has none."""
        return self.deeds.get(getattr(self, "action", None) or "")

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer, once its event is written; without the audit nothing is shown."""
        answer: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)
        for name, value in headers_of(request._request).items():
            answer[name] = value
        deed = self.deed()
        thing: Mapping[str, Any] = kwargs
        if deed is None and answer.status_code == 403:
            deed, thing = "request.refused", {"path": request.path}
        if deed is None or getattr(request._request, "_lucid_witnessed", False):
            return answer
        try:
            witness(request, answer, deed=deed, thing=thing)
        except DatabaseFailure as error:
            log.error("not audited", alarm=True, deed=deed, error=str(error))
            if request.method in LOOKS and answer.status_code < 400:
                return _unaudited(request)
        return answer


def witness(request: Request, answer: HttpResponseBase, *, deed: str, thing: Mapping[str, Any]) -> None:
    """Write the event of this answer, unless it is the same look as a moment ago."""
    outcome = outcome_of(answer.status_code)
    session = str(thing.get("session_id", ""))
    item = " ".join(str(value) for name, value in thing.items() if name != "session_id")
    query = request._request.META.get("QUERY_STRING", "") if not thing else ""
    actor = audit.actor_of(request._request, auth=request.auth, user=request.user)
    # Media are fetched in pieces: one event stands for a minute of them.
    seen = "" if deed == "session.played" else item or query
    why = _why(request)
    facts = getattr(request._request, "_lucid_facts", None)
    about: dict[str, Any] = {"item": item[:120], "why": why, "facts": facts}
    about["session"] = session or str(getattr(request._request, "_lucid_made", ""))
    if answer.status_code >= 400 and not actor.user:
        audit.turned_away(deed, actor=actor, method=str(request.method), outcome=outcome, **about)
    elif request.method in LOOKS:
        audit.look(deed, actor=actor, seen=seen, outcome=outcome, **about)
    else:
        audit.record(deed, actor=actor, outcome=outcome, **about)


def event_beside(request: Request, *, deed: str, session: Any) -> AuditEvent:
    """The event, to be written together with what it tells of; `written` says later that it was."""
    actor = audit.actor_of(request._request, auth=request.auth, user=request.user)
    return audit.event_of(deed, actor=actor, session=str(session), why=_why(request))


def written(request: Request) -> None:
    """The event is in the database with what it tells of: no other is needed."""
    request._request._lucid_witnessed = True  # type: ignore[attr-defined]


def outcome_of(status: int) -> str:
    """How it ended, in the audit's words."""
    if status < 400:
        return audit.DONE
    return OUTCOMES.get(status, audit.REFUSED if status < 500 else audit.FAILED)


def tell(request: Request, *, why: str = "", made: Any = "", facts: Any = None) -> None:
    """What the event of this request shall say beside what can be seen from outside."""
    inner: Any = request._request
    inner._lucid_made, inner._lucid_facts = made, facts
    if why:
        inner._lucid_why = why


def _require_readable_reason(request: Request) -> None:
    if request.headers.get(reasons.HEADER, "-").strip() == "":
        # What is no ASCII is handed over by the server as nothing at all.
        raise Problem(INVALID, f"{reasons.HEADER}: came empty. {ENCODED}")
    if (why := said(request)) and not VISIBLE.fullmatch(why):
        raise Problem(INVALID, f"{reasons.HEADER}: has a NUL in it, or nothing to be seen. Say why in words.")


def said(request: Request) -> str:
    """Why, as the request says it: in X-Reason, percent-encoded or not, or else in `?reason=`."""
    header = request.headers.get(reasons.HEADER, "")
    with suppress(UnicodeDecodeError):  # what cannot be decoded was not encoded
        header = unquote(header, errors="strict")
    return (header or request.query_params.get("reason", "")).strip()


def _why(request: Request) -> str:
    told = getattr(request._request, "_lucid_why", "") or said(request)
    return told if VISIBLE.fullmatch(told) else ""


def _unaudited(request: Request) -> JsonResponse:
    body = document(request._request, STORAGE, "The audit cannot be written now, so nothing is shown.")
    return JsonResponse(body, status=503, content_type=MEDIA_TYPE, headers={"Retry-After": "5"})
