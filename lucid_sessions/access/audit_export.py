"""The audit as a file, oldest first, in bounded memory: for auditors and for what they import it into."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet

from . import audit
from .models import AuditEvent

PAGE = 1000
FIELDS = (
    *("id", "at", "action", "outcome", "user", "username", "means", "address", "session", "item", "why"),
    *("facts", "request_id", "batch", "at_us", "salt", "digest"),
)
# A spreadsheet runs what begins so, and names and reasons come from outside.
FORMULAE = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Form:
    """How a file of events is written."""

    media_type: str
    lines: Callable[["QuerySet[AuditEvent]"], Iterator[str]]


def events(rows: "QuerySet[AuditEvent]") -> Iterator[dict[str, Any]]:
    """Each event with its digest, and the salt to check that with; read by pages, by an index."""
    place: tuple[int, Any] | None = None
    while True:
        later = rows
        if place:
            at, pk = place
            later = rows.filter(at_us__gte=at).filter(Q(at_us__gt=at) | Q(pk__gt=pk))
        page = list(later.order_by("at_us", "id")[:PAGE])
        for event in page:
            moment = datetime.fromtimestamp(event.at_us / 1_000_000, UTC)
            shown = {"id": str(event.pk), "at": moment.isoformat().replace("+00:00", "Z")}
            shown["digest"] = audit.digest(event)
            yield {name: shown.get(name, getattr(event, name, None)) for name in FIELDS}
        if len(page) < PAGE:
            return
        place = (page[-1].at_us, page[-1].pk)


def ndjson(rows: "QuerySet[AuditEvent]") -> Iterator[str]:
    """One JSON object a line."""
    for event in events(rows):
        yield json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"


def comma_separated(rows: "QuerySet[AuditEvent]") -> Iterator[str]:
    """RFC 4180, with a line of names; what a spreadsheet would run is made text by an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(FIELDS)
    for event in events(rows):
        writer.writerow(_cell(value) for value in event.values())
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULAE) else text


FORMS = {
    "csv": Form("text/csv; charset=utf-8", comma_separated),
    "ndjson": Form("application/x-ndjson", ndjson),
}
