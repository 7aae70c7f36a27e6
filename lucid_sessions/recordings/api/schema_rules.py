"""The last touch on the OpenAPI document: what `Strict`, filters and the whole API promise everywhere.

What is said here once would have to be said at each view, and would be forgotten at the next.
"""

from collections.abc import Iterator
from typing import Any

from lucid_sessions.access.visible import VISIBLE_TEXT

from . import schema_headers
from .examples import example_of
from .problems import MEDIA_TYPE
from .strict import ANY_TEXT, Strict

Json = dict[str, Any]
EXPRESSED = {"pattern", "enum", "const", "format", "readOnly", "oneOf", "anyOf"}
UNREADABLE = "The body is not JSON."
TOO_LARGE = "LUCID_ERR_1013: the body is larger than any that is meant."
INVALID = "LUCID_ERR_3002: a field, parameter or header is wrong."
# The first page's cursor.
MAY_BE_EMPTY = "cursor"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def complete(result: Json, generator: Any, request: Any, public: bool) -> Json:  # noqa: ARG001 - its signature
    """drf-spectacular's hook: the document, completed."""
    components = result["components"]["schemas"]
    for body in _bodies(Strict):
        for name in (f"{body.__name__}Request", f"Patched{body.__name__}Request"):
            if name in components:
                _close(components[name])
                body.describe(components[name])
    result["components"]["headers"] = schema_headers.HEADERS
    for item in result["paths"].values():
        for operation in _operations(item):
            _summarise(operation)
            facts = schema_headers.take(operation)
            _bound_parameters(operation)
            _name_refusals(operation, negotiates=facts["negotiates"])
            _close_links(operation)
            _show_examples(operation, components)
            schema_headers.give(operation, facts)
    return result


def _operations(item: Json) -> Iterator[Json]:
    yield from (operation for method, operation in item.items() if method in METHODS)


def _summarise(operation: Json) -> None:
    """The first sentence, for lists of operations: what one does need not be guessed from its address."""
    first = " ".join(operation.get("description", "").partition("\n\n")[0].split())
    if first:
        operation.setdefault("summary", first.partition(". ")[0].rstrip("."))


def _bodies(base: type[Strict]) -> Iterator[type[Strict]]:
    for one in base.__subclasses__():
        yield one
        yield from _bodies(one)


def _close(schema: Json) -> None:
    """A body of the `Strict` kind: nothing unknown, and no text that it would refuse."""
    schema["additionalProperties"] = False
    for field in schema.get("properties", {}).values():
        _bound_text(field)
        _bound_text(field.get("items", {}))


def _bound_text(field: Json) -> None:
    if field.get("type") == "string" and not EXPRESSED & set(field):
        field["pattern"] = VISIBLE_TEXT if field.get("minLength") and not field.get("writeOnly") else ANY_TEXT


def _bound_parameters(operation: Json) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" and parameter["schema"].get("format") == "uuid":
            parameter.setdefault("description", "As it was given: in small letters.")
        if parameter["in"] != "query":
            continue
        schema = parameter["schema"]
        if (
            schema.get("type") == "string"
            and not EXPRESSED & set(schema)
            and parameter["name"] != MAY_BE_EMPTY
        ):
            schema["minLength"] = 1
        _bound_text(schema)


def _close_links(operation: Json) -> None:
    """A link opens what takes one, and nothing else of the same view."""
    if not any(one["name"] == "link" for one in operation["parameters"]):
        schemes = operation.get("security", [])
        schemes[:] = [one for one in schemes if "link" not in one]


def _name_refusals(operation: Json, *, negotiates: bool) -> None:
    responses, given = operation["responses"], operation.get("parameters", [])
    if "requestBody" in operation or any(one["in"] != "path" for one in given):
        responses.setdefault("400", _refusal(INVALID))
    if any(one["name"] == "cursor" for one in given):
        responses.setdefault("404", _refusal("LUCID_ERR_1012: a cursor that this list did not give."))
    if any(one["in"] == "path" for one in given):
        responses.setdefault("404", _refusal("LUCID_ERR_1004: there is nothing at this address."))
    if "requestBody" in operation:
        responses.setdefault("413", _refusal(TOO_LARGE))
        responses.setdefault("415", _refusal(UNREADABLE))
    if negotiates:
        responses.setdefault(
            "406", _refusal("LUCID_ERR_1006: the answer is JSON, which `Accept` leaves out.")
        )
    operation["responses"] = dict(sorted(responses.items()))


def _refusal(text: str) -> Json:
    body = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    return {"content": {MEDIA_TYPE: body}, "description": text}


def _show_examples(operation: Json, components: Json) -> None:
    """Each JSON body, asked or answered, with an example that its schema allows."""
    contents = [operation["requestBody"]["content"]] if "requestBody" in operation else []
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        contents.append(content)
        if MEDIA_TYPE in content:
            content[MEDIA_TYPE].setdefault(
                "example", example_of(content[MEDIA_TYPE]["schema"], components, status)
            )
    for content in contents:
        body = content.get("application/json")
        if body is not None and not {"example", "examples"} & set(body):
            body["example"] = example_of(body.get("schema", {}), components)
