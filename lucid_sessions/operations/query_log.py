"""Debug mode for one request or one user: what it asked of the database, in the log, without the values.

`X-Lucid-Debug: 1` on a request of an administrator's, or the user's name in LUCID_DEBUG_USERS. Each query is
a line of its own with the request's identity; values are left out, since they may be what nobody may read.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, reset_queries
from django.http import HttpRequest, HttpResponse

log = structlog.get_logger("lucid.queries")

HEADER = "X-Lucid-Debug"
MOST_LINES = 200
LONGEST_LINE = 2000
# A quoted text; a colon after it says that it names a field. In SQL double quotes are names, and a backslash
# is a letter like any other: `LIKE '%secret%' ESCAPE '\'`.
_IN_SQL = re.compile(r"b?'[^']*'")
_IN_A_DOCUMENT = re.compile(r"""b?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(\s*:)?""")


class QueryLog:
    """Middleware: logs the queries of requests that somebody wants to look into; others cost nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._respond = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response; its queries are logged when its user turns out to be one who may ask for that."""
        if not (HEADER in request.headers or settings.LUCID_DEBUG_USERS):
            return self._respond(request)
        before, connection.force_debug_cursor = connection.force_debug_cursor, True
        reset_queries()
        began = time.perf_counter()
        try:
            response = self._respond(request)
            if _is_looked_into(request):
                _tell(request, connection.queries, took=time.perf_counter() - began)
        finally:
            connection.force_debug_cursor = before
            reset_queries()
        return response


def _is_looked_into(request: HttpRequest) -> bool:
    # Known only now: the API's views find out by themselves whose token it is.
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return False
    return bool(
        user.get_username() in settings.LUCID_DEBUG_USERS or (HEADER in request.headers and user.is_superuser)
    )


def _tell(request: HttpRequest, queries: Sequence[Mapping[str, Any]], *, took: float) -> None:
    who = request.user.get_username()
    for number, query in enumerate(queries[:MOST_LINES], 1):
        text = without_values(str(query.get("sql", "")))
        log.info("query", number=number, seconds=float(query.get("time", 0)), query=text, user=who)
    spent = sum(float(query.get("time", 0)) for query in queries)
    log.info(
        "queries of a request",
        user=who,
        method=request.method,
        path=request.path,
        count=len(queries),
        database_seconds=round(spent, 3),
        seconds=round(took, 3),
    )


def without_values(query: str) -> str:
    """The query with `?` for each text and byte string in it, at most 2000 characters."""
    if query.startswith("db."):
        text = _IN_A_DOCUMENT.sub(lambda found: found[0] if found[1] else "?", query)
    else:
        text = _IN_SQL.sub("?", query)
    return text[:LONGEST_LINE]
