"""Examples in the OpenAPI document: real-looking values by name, everything else from its schema."""

from typing import Any

Json = dict[str, Any]
SESSION = "0192f0c1-6f7e-7a52-9d3c-2a4b8e6f1c0d"
TIME = "2026-01-31T12:00:00Z"
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
# What a field is called tells more than its type.
BY_NAME: Json = {
    "name": "deploy db-7",
    "description": "Rolling restart of the replicas",
    "project": "payments",
    "environment": "production",
    "tags": ["db", "deploy"],
    "owner": "ana",
    "username": "ana",
    "user": SESSION,
    "by": "ana",
    "why": "case 2026-14",
    "reason": "case 2026-14",
    "host": "desk.example.org",
    "display": ":0",
    "path": f"/api/v1/sessions/{SESSION}/chunks/{SESSION}/download",
    "track": "screen",
    "address": "203.0.113.5",
    "resolution": "1280x720",
    "blob": SHA,
    "sha256": SHA,
    "raw_sha256": SHA,
    "leaf": SHA,
    "leaf_hash": SHA,
    "frame_rate": 10,
    "limit": 50,
    "total": 1,
    "code": "LUCID_ERR_3002",
    "request_id": "5f0f3b1c9d7e4a41b6c3a7d1e2f40918",
    "type": "urn:lucid-sessions:problem:LUCID_ERR_3002",
    "title": "Invalid configuration",
    "detail": "name: This field is required.",
    "instance": "/api/v1/sessions",
    "url": "https://hooks.example.org/lucid",
}
PROBLEMS = {
    "400": ("LUCID_ERR_3002", "Invalid configuration", "name: This field is required."),
    "401": ("LUCID_ERR_1001", "Not signed in", "Authentication credentials were not provided."),
    "403": ("LUCID_ERR_1002", "Not permitted", "Your role does not allow this."),
    "404": ("LUCID_ERR_3001", "Session not found", f"There is no session {SESSION}, or it is not yours."),
    "406": ("LUCID_ERR_1006", "No such representation", "Could not satisfy the request Accept header."),
    "409": ("LUCID_ERR_3004", "Session is in another state", 'Session "deploy db-7" is created.'),
    "412": ("LUCID_ERR_1009", "Changed meanwhile", 'Session "deploy db-7" is at version 4, not "3".'),
    "413": ("LUCID_ERR_1013", "Body too large", "The body has more than 2621440 bytes."),
    "415": ("LUCID_ERR_1007", "Media type not understood", 'Unsupported media type "text/plain" in request.'),
    "416": ("LUCID_ERR_1008", "No such range", "There are 1000 bytes; none of bytes=5000-."),
    "422": ("LUCID_ERR_1010", "Idempotency-Key used before", "This key was used with another body."),
    "429": ("LUCID_ERR_3010", "Too many requests", "Asked too often."),
    "500": ("LUCID_ERR_3009", "Recording does not verify", "screen 1.7: its blob was changed."),
    "503": ("LUCID_ERR_3007", "Storage is away", "The database cannot be reached now. Try again shortly."),
}
BY_FORMAT = {"date-time": TIME, "uuid": SESSION, "uri": "https://lucid.example.org/api/v1/sessions"}


def example_of(schema: Json, components: Json, status: str = "") -> Any:
    """A value that the schema allows; for a problem, one of this HTTP status."""
    if status:
        code, title, detail = PROBLEMS.get(status, PROBLEMS["400"])
        kind = {"type": f"urn:lucid-sessions:problem:{code}", "title": title, "status": int(status)}
        more = {"detail": detail, "instance": "/api/v1/sessions", "code": code}
        return {**kind, **more, "request_id": BY_NAME["request_id"]}
    return _value(schema, components, name="")


def _value(schema: Json, components: Json, *, name: str) -> Any:
    if "$ref" in schema:
        return _value(components[schema["$ref"].rpartition("/")[2]], components, name=name)
    for many in ("oneOf", "anyOf", "allOf"):
        if many in schema:
            return _value(schema[many][0], components, name=name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    return _of_type(schema, components, name=name)


def _of_type(schema: Json, components: Json, *, name: str) -> Any:
    kind = schema.get("type", "object")
    kind = next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
    if kind == "object":
        fields = schema.get("properties", {})
        wanted = [
            one for one in fields if not fields[one].get("writeOnly") or one in schema.get("required", [])
        ]
        return {one: _value(fields[one], components, name=one) for one in wanted}
    known = BY_NAME.get(name)
    if kind == "array":
        return known if isinstance(known, list) else [_value(schema.get("items", {}), components, name=name)]
    if kind == "string":
        return BY_FORMAT.get(schema.get("format", "")) or (known if isinstance(known, str) else "text")
    if kind in ("integer", "number"):
        return known if isinstance(known, int) else schema.get("default", max(1, schema.get("minimum", 1)))
    return {"boolean": True, "null": None}[kind]
