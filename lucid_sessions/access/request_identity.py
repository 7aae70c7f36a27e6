"""One identity for everything that a request causes: in its answer, in every log line, in error documents."""

import os
import re
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
# What a client sends ends up in logs: nothing that could break a line or a field out of its place.
_TAKEN_OVER = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIdentity:
    """Middleware: takes over the caller's X-Request-ID or draws one, and answers with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with structlog.contextvars.bound_contextvars(request_id=request_id(request)):
            response = self.get_response(request)
        response[HEADER] = request_id(request)
        return response


def request_id(request: HttpRequest) -> str:
    """The request's identity, drawn now if it has none yet."""
    known: str | None = getattr(request, "_lucid_request_id", None)
    if known is None:
        sent = request.headers.get(HEADER, "")
        known = sent if _TAKEN_OVER.fullmatch(sent) else os.urandom(16).hex()
        request._lucid_request_id = known  # type: ignore[attr-defined]
    return known
