"""The OpenAPI document says all, and says it without a doubt."""

import io
from typing import Any

import pytest
import yaml
from django.core.management import call_command

ANSWERS_WITHOUT_BODY = {"204"}


@pytest.fixture(scope="module")
def document() -> Any:
    # Warnings are failures: something would be described wrongly.
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    return yaml.safe_load(out.getvalue())


def operations(document: Any) -> Any:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict):
                yield f"{method} {path}", operation


def test_every_operation_says_what_it_does_and_who_may(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    for name, operation in operations(document):
        assert operation.get("description"), name
        assert 0 < len(operation.get("summary", "")) <= 200, name
        assert operation["description"].startswith(operation["summary"].split(" ")[0]), name
        if "/auth/" not in name and "/schema/" not in name:
            known = ("Permission: `recordings.", "Permission: the role `admin`", "Permission: none but")
            assert any(one in operation["description"] for one in known), name


def test_changes_say_that_what_is_recorded_stays_and_that_rdp_config_is_refused(document: Any) -> None:
    for method in ("put", "patch"):
        told = document["paths"]["/api/v1/sessions/{session_id}"][method]["description"]
        assert "`rdp_config`" in told, method
        assert "refused" in told, method


def test_every_operation_names_its_problems(document: Any) -> None:
    for name, operation in operations(document):
        if "/schema/" in name:
            continue
        problems = {code for code in operation["responses"] if code.startswith(("4", "5"))}
        assert "401" in problems, name
        for code in problems:
            assert list(operation["responses"][code]["content"]) == ["application/problem+json"], (name, code)


def bodies(operation: Any) -> Any:
    """Every JSON body that the operation takes or gives."""
    asked = operation.get("requestBody", {"content": {}})
    for part in (asked, *operation["responses"].values()):
        for media, body in part.get("content", {}).items():
            if media in ("application/json", "application/problem+json"):
                yield media, body


def test_every_body_has_an_example_that_its_schema_allows(document: Any) -> None:
    # It makes forty parsers of addresses as it is loaded: too much for whoever merely collects tests.
    from jsonschema import Draft202012Validator

    dialect = "https://json-schema.org/draft/2020-12/schema"
    registry = {"$schema": dialect, "components": document["components"]}
    seen = 0
    for name, operation in operations(document):
        if "/schema/" in name:
            continue
        for media, body in bodies(operation):
            examples = [one["value"] for one in body.get("examples", {}).values()] or [body["example"]]
            for example in examples:
                faults = list(Draft202012Validator(registry | body["schema"]).iter_errors(example))
                assert not faults, (name, media, faults[0].message)
                seen += 1
    assert seen > 200


def test_every_request_body_is_closed_and_bounded(document: Any) -> None:
    for name, schema in document["components"]["schemas"].items():
        if not name.endswith("Request"):
            continue
        for one in schema.get("oneOf", [schema]):
            assert one["additionalProperties"] is False, name
            for field, described in one["properties"].items():
                if described.get("type") == "string":
                    assert {"pattern", "const", "enum", "format"} & set(described), (name, field)


def test_every_list_in_pages_says_how_they_are_turned(document: Any) -> None:
    seen = 0
    for name, operation in operations(document):
        shown = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        if "/Paginated" in shown.get("schema", {}).get("$ref", ""):
            given = {one["name"] for one in operation.get("parameters", [])}
            assert {"limit", "offset", "cursor"} <= given, name
            seen += 1
    assert seen > 4


def test_refusals_that_every_such_operation_can_give_are_named(document: Any) -> None:
    for name, operation in operations(document):
        if "/schema/" in name:
            continue
        if "requestBody" in operation:
            assert {"400", "415"} <= set(operation["responses"]), name
        if any(one["name"] == "cursor" for one in operation.get("parameters", [])):
            assert {"400", "404"} <= set(operation["responses"]), name


def parameters(document: Any, method: str, path: str) -> set[str]:
    return {one["name"] for one in document["paths"][f"/api/v1/{path}"][method].get("parameters", [])}


def test_what_lists_are_narrowed_and_paged_by_is_named_wherever_it_works(document: Any) -> None:
    paging = {"limit", "offset", "cursor"}
    filters = {"action", "outcome", "username", "session", "after", "before"}
    assert filters | paging <= parameters(document, "get", "audit/")
    exported = parameters(document, "get", "audit/export.{form}")
    assert filters <= exported
    assert not paging & exported
    for path in ("jobs", "auth/api-tokens", "webhooks/{webhook_id}/deliveries"):
        assert paging <= parameters(document, "get", path), path


def test_how_long_a_text_may_be_that_is_looked_for_is_named(document: Any) -> None:
    texts = {
        "sessions": {"project", "environment", "tag", "owner", "name", "text"},
        "audit/": {"action", "outcome", "username"},
        "audit/export.{form}": {"action", "outcome", "username"},
    }
    for path, names in texts.items():
        given = document["paths"][f"/api/v1/{path}"]["get"]["parameters"]
        longest = {one["name"]: one["schema"].get("maxLength") for one in given if one["name"] in names}
        assert longest == dict.fromkeys(names, 1000), path


def test_a_link_opens_what_takes_one_and_nothing_else(document: Any) -> None:
    opened = {name for name, one in operations(document) if {"link": []} in one.get("security", [])}
    assert opened == {
        "get /api/v1/jobs/{job_id}/result",
        "get /api/v1/sessions/{session_id}/chunks/{chunk_id}/download",
        "get /api/v1/sessions/{session_id}/chunks/{chunk_id}/media",
    }


def test_reasons_are_taken_where_the_audit_keeps_them_and_may_be_missed(document: Any) -> None:
    for path in (
        *("sessions/{session_id}", "sessions/{session_id}/playback.m3u8"),
        *("jobs", "jobs/{job_id}/result"),
    ):
        assert "X-Reason" in parameters(document, "get", path)
        assert "400" in document["paths"][f"/api/v1/{path}"]["get"]["responses"]
    assert "X-Reason" not in parameters(document, "post", "auth/token")


def test_the_document_is_yaml_or_json_as_it_is_asked_for(client: Any) -> None:
    address = "/api/v1/schema/"
    usual, by_query = client.get(address), client.get(f"{address}?format=json")
    by_header = client.get(address, headers={"Accept": "application/json"})
    assert yaml.safe_load(usual.content) == by_query.json() == by_header.json()
