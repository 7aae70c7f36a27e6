"""Headers in the OpenAPI document: which ones each operation takes, and which its answers have.

All of it follows from what is known of the operation already: its view's audit, rates and negotiation, its
parameters, and the bodies of its answers.
"""

from collections.abc import Iterator
from typing import Any

from .documents import FACTS

Json = dict[str, Any]
REASON = {
    "name": "X-Reason",
    "in": "header",
    "description": "Why; it is kept in the audit. What is no ASCII is percent-encoded. Where the policy asks "
    "why, 400 without it.",
    "schema": {"type": "string", "pattern": "^[\\t -~]*[!-~][\\t -~]*$"},
}
JOBS_ASKED_FOR = {"jobs_export", "jobs_evidence", "jobs_verify"}
WAITED_FOR = {("jobs_retrieve", "200"), *((name, "202") for name in JOBS_ASKED_FOR)}
DOWNLOADS = {"audit_export"}
PROVEN = "chunks_download"
LOCATED = {"sessions_create", *JOBS_ASKED_FOR}
SHOWN_ONCE = {"tokens_create", "webhooks_create"}
VERSIONED = {"SessionBody", "EndpointBody", "MadeEndpoint"}


def _header(description: str, *, always: bool = False, **schema: Any) -> Json:
    return {"description": description, "required": always, "schema": {"type": "string", **schema}}


HEADERS = {
    "X-Request-ID": _header(
        "Names this request in the log: yours, if you sent one, else one that was drawn.",
        always=True,
        pattern="^[A-Za-z0-9._-]{1,64}$",
    ),
    "ETag": _header("Names this state: for If-Match, If-None-Match, If-Range.", pattern='^"[^"]+"$'),
    "Location": _header("Where what was made is looked at.", always=True),
    "Idempotent-Replayed": _header("This answer was given before, under the same key.", const="true"),
    "RateLimit": _header("What is left of the rate: `r` requests, for `t` seconds."),
    "RateLimit-Policy": _header("The rate: `q` requests in `w` seconds."),
    "Retry-After": _header("Seconds after which it is worth asking again.", pattern="^[0-9]+$"),
    "Accept-Ranges": _header("Parts can be asked for by Range.", always=True, const="bytes"),
    "Content-Range": _header("Which bytes, of how many.", always=True),
    "Content-Disposition": _header("The file's name.", always=True),
    "Link": _header("Where its proof is: `describedby`.", always=True),
    "WWW-Authenticate": _header("What to sign in with."),
}


def take(operation: Json) -> Json:
    """What the operation's view says of it; the parameter that follows is added."""
    facts: Json = operation.pop(FACTS, {"negotiates": True})
    given = operation.setdefault("parameters", [])
    if facts.get("deed"):
        given.append(REASON)
    return facts


def give(operation: Json, facts: Json) -> None:
    """Each answer of the operation has its headers."""
    for status, answer in operation["responses"].items():
        names = sorted(set(_names(operation, facts, status)) | set(_of_body(answer)))
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _names(operation: Json, facts: Json, status: str) -> Iterator[str]:
    asked = {one["name"] for one in operation.get("parameters", [])}
    name, well = operation["operationId"], status.startswith("2")
    yield "X-Request-ID"
    # Who asks, and for what, is decided before how often he does.
    if facts.get("rate") and status not in ("401", "403", "406"):
        yield from ("RateLimit", "RateLimit-Policy")
    still_answered = status == "409" and "Idempotency-Key" in asked
    if status in ("429", "503") or still_answered or (name, status) in WAITED_FOR:
        yield "Retry-After"
    if status == "401":
        yield "WWW-Authenticate"
    if well and name in LOCATED:
        yield "Location"
    if well and "Idempotency-Key" in asked and name not in SHOWN_ONCE:
        yield "Idempotent-Replayed"
    if well and ("link" in asked or name in DOWNLOADS):
        yield "Content-Disposition"
    if name == PROVEN and status in ("200", "206", "304", "416"):
        yield "Link"
    if "If-None-Match" in asked and status in ("200", "304"):
        yield "ETag"
    if "Range" in asked and status in ("200", "206", "416"):
        yield from ("Accept-Ranges", "ETag")
        yield from ("Content-Range",) if status != "200" else ()


def _of_body(answer: Json) -> Iterator[str]:
    """What can be changed under If-Match has its version as ETag."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    if schema.get("$ref", "").rpartition("/")[2] in VERSIONED:
        yield "ETag"
