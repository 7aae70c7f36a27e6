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
        if "/auth/" not in name and "/schema/" not in name:
            known = ("Permission: `recordings.", "Permission: the role `admin`")
            assert any(one in operation["description"] for one in known), name


def test_every_operation_names_its_problems(document: Any) -> None:
    for name, operation in operations(document):
        if "/schema/" in name:
            continue
        problems = {code for code in operation["responses"] if code.startswith(("4", "5"))}
        assert "401" in problems, name
        for code in problems:
            assert list(operation["responses"][code]["content"]) == ["application/problem+json"], (name, code)
