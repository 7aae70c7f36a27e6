"""Errors as RFC 9457 problem documents: what happened, to what, what to do, and the request's identity."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import is_valid_path
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from lucid_sessions.access.request_identity import request_id
from lucid_sessions.errors import FullyUsed, LucidError, Refused, Retryable, Tampered

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
# How a refusal that is about one field or header begins.
NAMED = re.compile(r"(?P<field>[A-Za-z][\w.-]*): (?P<detail>.+)", re.DOTALL)
# What the libraries say of these does not say what to do.
TO_DO = {
    exceptions.NotAuthenticated: "Nobody is signed in: send `Authorization: Bearer TOKEN`, "
    "with a token from POST /api/v1/auth/token.",
    exceptions.UnsupportedMediaType: "Bodies are JSON: send `Content-Type: application/json`.",
    exceptions.NotAcceptable: "The Accept header takes nothing that there is here: leave it out, "
    "or send `Accept: application/json`.",
}


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its stable code, its HTTP status, its title."""

    code: str
    status: int
    title: str


NOT_SIGNED_IN = Kind("LUCID_ERR_1001", 401, "Not signed in")
NOT_PERMITTED = Kind("LUCID_ERR_1002", 403, "Not permitted")
UNREADABLE = Kind("LUCID_ERR_1003", 400, "Request cannot be read")
NO_SUCH_ADDRESS = Kind("LUCID_ERR_1004", 404, "No such address")
NO_SUCH_METHOD = Kind("LUCID_ERR_1005", 405, "Method not allowed")
NOT_ACCEPTABLE = Kind("LUCID_ERR_1006", 406, "No such representation")
NOT_UNDERSTOOD = Kind("LUCID_ERR_1007", 415, "Media type not understood")
NO_SUCH_RANGE = Kind("LUCID_ERR_1008", 416, "No such range")
CHANGED = Kind("LUCID_ERR_1009", 412, "Changed meanwhile")
KEY_REUSED = Kind("LUCID_ERR_1010", 422, "Idempotency-Key used before")
IN_PROGRESS = Kind("LUCID_ERR_1011", 409, "Still being answered")
NO_SUCH_THING = Kind("LUCID_ERR_1012", 404, "Not found")
TOO_LARGE = Kind("LUCID_ERR_1013", 413, "Body too large")
HELD = Kind("LUCID_ERR_3011", 409, "Under legal hold, or not to be held")
FULLY_USED = Kind("LUCID_ERR_3013", 503, "Every recorder is fully used")
NOT_READY = Kind("LUCID_ERR_3012", 409, "Not in that state")
DEFECT = Kind("LUCID_ERR_1000", 500, "Something went wrong here")
SESSION_NOT_FOUND = Kind("LUCID_ERR_3001", 404, "Session not found")
INVALID = Kind("LUCID_ERR_3002", 400, "Invalid configuration")
CONFLICT = Kind("LUCID_ERR_3003", 409, "In conflict with what exists")
NOT_IN_STATE = Kind("LUCID_ERR_3004", 409, "Session is in another state")
CHUNK_NOT_FOUND = Kind("LUCID_ERR_3005", 404, "Chunk not found")
PIPELINE = Kind("LUCID_ERR_3006", 409, "Pipeline cannot do that")
STORAGE = Kind("LUCID_ERR_3007", 503, "Storage is away")
SEALED = Kind("LUCID_ERR_3009", 409, "Recording cannot be opened")
TAMPERED = Kind("LUCID_ERR_3009", 500, "Recording does not verify")
TOO_MANY = Kind("LUCID_ERR_3010", 429, "Too many requests")

_BY_STATUS = {
    kind.status: kind
    for kind in (
        NOT_SIGNED_IN,
        NOT_PERMITTED,
        UNREADABLE,
        NO_SUCH_ADDRESS,
        NO_SUCH_METHOD,
        NOT_ACCEPTABLE,
        NOT_UNDERSTOOD,
        TOO_LARGE,
        TOO_MANY,
    )
}


class Problem(exceptions.APIException):
    """A problem that a view found; the exception handler turns it into its document."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status_code = kind.status


@contextmanager
def refused_as(kind: Kind) -> Iterator[None]:
    """Inside, what the core refuses is a problem of `kind`."""
    try:
        yield
    except Refused as error:
        raise Problem(kind, str(error)) from error


def as_problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """The problem document for what a view raised; None for defects, which Django logs and answers."""
    request = context["request"]._request
    kind, detail = _kind_of(error), _detail_of(error)
    if kind is None:
        return None
    if isinstance(error, Tampered):
        log.error("recording does not verify", alarm=True, path=request.path, reason=str(error))
    body = document(request, kind, detail)
    if isinstance(error, exceptions.ValidationError):
        body["errors"] = faults = list(faults_in(error.detail))
        body["detail"] = " ".join(f"{fault['field'] or 'body'}: {fault['detail']}" for fault in faults)
    elif kind is INVALID and (named := NAMED.fullmatch(detail)):
        body["errors"] = [named.groupdict()]
    return Response(body, kind.status, headers=_headers(error, kind), content_type=MEDIA_TYPE)


def document(request: HttpRequest, kind: Kind, detail: str) -> dict[str, Any]:
    """The body of a problem document."""
    return {
        "type": f"urn:lucid-sessions:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": request.path,
        "code": kind.code,
        "request_id": request_id(request),
    }


def faults_in(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """One entry a fault, with the dotted name of its field."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            yield from faults_in(inner, ".".join(part for part in (path, own) if part))
    elif isinstance(detail, Sequence) and not isinstance(detail, str):
        for place, inner in enumerate(detail):
            # DRF lists one dictionary an element for lists of bodies, and plain texts for one field's faults.
            yield from faults_in(inner, f"{path}.{place}" if isinstance(inner, dict) else path)
    else:
        yield {"field": path, "detail": str(detail)}


def _kind_of(error: Exception) -> Kind | None:
    match error:
        case Problem():
            return error.kind
        case exceptions.ValidationError():
            return INVALID
        case Http404():
            return NO_SUCH_ADDRESS
        case PermissionDenied():
            return NOT_PERMITTED
        case exceptions.APIException():
            return _BY_STATUS.get(error.status_code, DEFECT)
        case RequestDataTooBig():
            return TOO_LARGE
        case SuspiciousOperation():
            return UNREADABLE
        case Tampered():
            return TAMPERED
        case Refused():
            return PIPELINE
        case FullyUsed():
            return FULLY_USED
        case Retryable() | OperationalError() | InterfaceError():
            return STORAGE
    return None


def _detail_of(error: Exception) -> str:
    if type(error) in TO_DO:
        return TO_DO[type(error)]
    if isinstance(error, exceptions.APIException):
        detail = error.detail
        return str(detail.get("detail", "")) if isinstance(detail, dict) else str(detail)
    if isinstance(error, LucidError):
        return str(error)
    if isinstance(error, OperationalError | InterfaceError):
        log.error("database away", error=str(error))
        return "The database cannot be reached now. Try again shortly."
    if isinstance(error, SuspiciousOperation):
        return _not_taken_apart(error)
    if isinstance(error, Http404):
        return "There is nothing at this address."
    return "Your role does not allow this."


def _not_taken_apart(error: Exception) -> str:
    match error:
        case RequestDataTooBig():
            return f"The body has more than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes."
        case TooManyFieldsSent():
            return f"There are more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} parameters."
        case DisallowedHost():
            return "The Host header is none of this installation's names, which ALLOWED_HOSTS lists."
    return "The request cannot be taken apart."


def _headers(error: Exception, kind: Kind) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    elif kind.status == STORAGE.status:
        headers["Retry-After"] = str(RETRY_SECONDS)
    elif kind is IN_PROGRESS:
        headers["Retry-After"] = "1"
    return headers


def _plain(request: HttpRequest, kind: Kind, detail: str) -> JsonResponse:
    return JsonResponse(document(request, kind, detail), status=kind.status, content_type=MEDIA_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's answer to what it does not take apart; under /api/ a problem document."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    return _plain(request, _kind_of(exception) or UNREADABLE, _not_taken_apart(exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's answer to an unknown address; under /api/ a problem document."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    return _plain(request, NO_SUCH_ADDRESS, _elsewhere(request.path))


def _elsewhere(path: str) -> str:
    """What is said of an address that is none, with the one that was meant if only a slash is wrong."""
    bare = path.rstrip("/")
    if path != bare and is_valid_path(bare):
        return f"There is nothing at this address. Leave the slash at its end out: {bare}"
    return "There is nothing at this address. /api/v1/schema/ names all that there are."


def server_error(request: HttpRequest) -> HttpResponseBase:
    """The answer to a defect (logged with its trace by Django): its request id, and nothing of its inside.

    Where the database was away before a view was reached, or for a page, it is no defect: 503.
    """
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and _kind_of(error) is STORAGE:
        return _away(request, _detail_of(error))
    if not request.path.startswith("/api/"):
        return HttpResponse(
            f"Something went wrong here. Tell your administrator the number {request_id(request)}.",
            status=500,
            content_type="text/plain; charset=utf-8",
        )
    return _plain(request, DEFECT, "This is a defect. Report it with the request_id; the log has its trace.")


def _away(request: HttpRequest, detail: str) -> HttpResponseBase:
    answer: HttpResponseBase = _plain(request, STORAGE, detail)
    if not request.path.startswith("/api/"):
        answer = HttpResponse(detail, status=STORAGE.status, content_type="text/plain; charset=utf-8")
    answer["Retry-After"] = str(RETRY_SECONDS)
    return answer
