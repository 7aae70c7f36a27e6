"""Sessions and chunks as JSON, straight from their columns: lists are asked for often, serializers are slow.

`bodies` describes the same for the OpenAPI document; a test holds both to each other.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpResponse

from lucid_sessions.access.memory import Memory

from .. import retention
from ..models import Chunk, Session
from .configuration import recording_defaults, source_of, storage_defaults

_names: Memory[str] = Memory()
_texts: Memory[str] = Memory()
_policies: Memory[retention.Policies] = Memory()
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


CHUNK_TIMES = ("quarantined_at", "next_attempt_at", "created_at", "stored_at", "anchored_at", "verified_at")


def session_body(
    row: Mapping[str, Any], *, owner: str | None, policies: retention.Policies
) -> dict[str, Any]:
    """One session from its columns. What was never said is shown as the policies, or defaults, have it."""
    kept = {"retention_days": _days(row, policies)}
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "description": row["description"],
        "status": row["status"],
        "reason": row["reason"],
        "source": source_of(row["source"]),
        "recording_config": recording_defaults() | row["recording_config"],
        "storage_config": storage_defaults() | row["storage_config"] | kept,
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


def _days(row: Mapping[str, Any], policies: retention.Policies) -> int:
    """How long it is kept, whatever says so."""
    said = {name: row[name] for name in ("storage_config", "tags", "environment", "project")}
    return retention.rule_for(Session(**said), policies).days


def _known_policies() -> retention.Policies:
    return _policies.or_ask("all", retention.known_policies)


def chunk_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """One chunk from its columns, in Django's values or as the database keeps them.

    To make Django's of 50 rows takes as long as all the rest.
    """
    body = dict(row)
    for name in CHUNK_TIMES:
        if body[name] is not None:
            body[name] = moment(body[name])
    body["id"] = _id_text(row["id"])
    if isinstance(row["timings"], str):
        body["timings"] = json.loads(row["timings"])
    body["take"], body["number"] = row["sequence"] >> 32, row["sequence"] & 0xFFFFFFFF
    return body


def session_texts(keys: Sequence[tuple[str, int]], *, reader: Any) -> list[str]:
    """The JSON of many sessions, of which only ids, as hexadecimal digits, and versions were read.

    Every change raises the version, so a text that was made for one is good as long as that stands; what
    policies say is in it as long as it is remembered. `reader` mostly asks for his own: his name is known.
    """
    texts = _texts.recall_all(keys)
    unknown = [pk for (pk, _), text in zip(keys, texts, strict=True) if text is None]
    if unknown:
        made = _rendered(unknown, reader=reader)
        texts = [text or made.get(pk) for (pk, _), text in zip(keys, texts, strict=True)]
    return [text for text in texts if text is not None]


def _rendered(ids: list[str], *, reader: Any) -> dict[str, str]:
    rows = list(Session.objects.filter(pk__in=map(UUID, ids)).order_by().values(*SESSION_COLUMNS))
    names = owner_names({row["owner_id"] for row in rows} - {None, reader.pk})
    names[reader.pk] = reader.get_username()
    texts, policies = {}, _known_policies()
    for row in rows:
        text = json_text(session_body(row, owner=names.get(row["owner_id"]), policies=policies))
        texts[row["id"].hex] = _texts.note((row["id"].hex, row["version"]), text)
    return texts


def owner_names(ids: set[Any]) -> dict[Any, str]:
    """User names by id."""
    names = {pk: name for pk in ids if (name := _names.recall(pk)) is not None}
    unknown = ids - set(names)
    if unknown:
        found: Any = get_user_model().objects.filter(pk__in=unknown).values_list("pk", "username")
        names |= {pk: _names.note(pk, name) for pk, name in found}
    return names


def one_session(session: Session) -> dict[str, Any]:
    """The body of a session that is at hand."""
    row = {name: getattr(session, name) for name in SESSION_COLUMNS}
    owner = owner_names({session.owner_id} - {None}).get(session.owner_id)
    return session_body(row, owner=owner, policies=_known_policies())


def one_chunk(chunk: Chunk) -> dict[str, Any]:
    """The body of a chunk that is at hand."""
    return chunk_body({name: getattr(chunk, name) for name in CHUNK_COLUMNS})


def columns(rows: "QuerySet[Any]", names: tuple[str, ...]) -> "QuerySet[Any, dict[str, Any]]":
    """The rows as plain columns."""
    return rows.values(*names)


def moment(value: datetime | None) -> str | None:
    """A time as RFC 3339 in UTC; one without a zone is UTC already, as databases keep it."""
    if value is None:
        return None
    text = value.isoformat()
    return f"{text}Z" if value.tzinfo is None else text.replace("+00:00", "Z")


def answer(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """JSON without a detour."""
    return answer_text(json_text(body), status=status, headers=headers)


def answer_text(text: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """JSON that is text already."""
    return HttpResponse(text, status=status, content_type="application/json", headers=headers)


def json_text(body: Any) -> str:
    """The body as JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _id_text(pk: UUID | str) -> str:
    """An id as it is written; databases keep its hexadecimal digits."""
    if isinstance(pk, UUID):
        return str(pk)
    return f"{pk[:8]}-{pk[8:12]}-{pk[12:16]}-{pk[16:20]}-{pk[20:]}"


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return moment(value)
    raise TypeError(f"{type(value)} has no JSON")
