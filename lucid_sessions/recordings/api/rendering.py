"""Sessions and chunks as JSON, straight from their columns: lists are asked for often, serializers are slow.

`bodies` describes the same for the OpenAPI document; a test holds both to each other.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpResponse

from ..models import Chunk, Session
from .configuration import recording_defaults, source_of, storage_defaults

SESSION_COLUMNS = (
    *("id", "name", "description", "status", "reason", "source", "recording_config", "storage_config"),
    *("project", "environment", "tags", "priority", "processing_paused", "sealed_revision", "sealed_record"),
    *("version", "created_at", "started_at", "ended_at", "owner_id", "holds"),
)
CHUNK_COLUMNS = (
    *("id", "track", "sequence", "epoch", "start_us", "end_us", "timestamp_ms", "state", "quarantined_at"),
    *("reason", "attempts", "next_attempt_at", "frames", "codec", "raw_length", "raw_sha256"),
    *("packed_length", "blob", "blob_length", "leaf", "record", "created_at", "stored_at", "anchored_at"),
    *("verified_at", "timings"),
)


def session_body(row: Mapping[str, Any], *, owner: str | None) -> dict[str, Any]:
    """One session from its columns. What was never said is shown as the installation's default."""
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "description": row["description"],
        "status": row["status"],
        "reason": row["reason"],
        "source": source_of(row["source"]),
        "recording_config": recording_defaults() | row["recording_config"],
        "storage_config": storage_defaults() | row["storage_config"],
        "metadata": {
            "project": row["project"],
            "environment": row["environment"],
            "tags": row["tags"],
            "priority": row["priority"],
            "owner": owner,
        },
        "processing_paused": row["processing_paused"],
        "seal": {"revision": row["sealed_revision"], "record": row["sealed_record"]},
        "held": any(not hold.get("released_at") for hold in row["holds"]),
        "version": row["version"],
        "created_at": moment(row["created_at"]),
        "started_at": moment(row["started_at"]),
        "ended_at": moment(row["ended_at"]),
    }


def chunk_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """One chunk from its columns."""
    body = {name: moment(value) if isinstance(value, datetime) else value for name, value in row.items()}
    body["id"] = str(row["id"])
    body["take"], body["number"] = row["sequence"] >> 32, row["sequence"] & 0xFFFFFFFF
    return body


def sessions_body(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Many sessions; their owners' names cost one query."""
    rows = list(rows)
    names = owner_names({row["owner_id"] for row in rows if row["owner_id"]})
    return [session_body(row, owner=names.get(row["owner_id"])) for row in rows]


def owner_names(ids: set[Any]) -> dict[Any, str]:
    """User names by id."""
    if not ids:
        return {}
    found: Any = get_user_model().objects.filter(pk__in=ids).values_list("pk", "username")
    return dict(found)


def one_session(session: Session) -> dict[str, Any]:
    """The body of a session that is at hand."""
    row = {name: getattr(session, name) for name in SESSION_COLUMNS}
    return session_body(row, owner=owner_names({session.owner_id} - {None}).get(session.owner_id))


def one_chunk(chunk: Chunk) -> dict[str, Any]:
    """The body of a chunk that is at hand."""
    return chunk_body({name: getattr(chunk, name) for name in CHUNK_COLUMNS})


def columns(rows: "QuerySet[Any]", names: tuple[str, ...]) -> "QuerySet[Any, dict[str, Any]]":
    """The rows as plain columns."""
    return rows.values(*names)


def moment(value: datetime | None) -> str | None:
    """A time as RFC 3339 in UTC."""
    return value.isoformat().replace("+00:00", "Z") if value else None


def answer(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """JSON without a detour."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return HttpResponse(text, status=status, content_type="application/json", headers=headers)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return moment(value)
    raise TypeError(f"{type(value)} has no JSON")
