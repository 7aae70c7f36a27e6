"""What the guides tell people to type exists: commands and their options, services, objects, scripts."""

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from tests.deploy.parts import DEPLOY, ROOT, services

GUIDES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
# Code in backticks, or a line of a block (indented, or between fences).
CODE = re.compile(r"`([^`\n]+)`|^(?: {4}| {3})(\S.*)$", flags=re.M)


def _typed(program: str) -> Iterator[tuple[str, str]]:
    """(guide, what follows the program's name, up to the end of that command), wherever one says it."""
    for guide in GUIDES:
        for match in CODE.finditer(guide.read_text(encoding="utf-8")):
            code = match[1] or match[2]
            for rest in re.findall(rf"(?:^|[\s/;(]){program} ([^|;&#<>]*)", code):
                yield guide.name, rest


@cache
def _options(command: str) -> set[str]:
    """All options of a management command and of its own commands."""
    app = get_commands()[command]
    loaded = load_command_class(app, command) if isinstance(app, str) else app
    waiting: list[argparse.ArgumentParser] = [loaded.create_parser("manage.py", command)]
    found: set[str] = set()
    while waiting:
        parser = waiting.pop()
        found |= set(parser._option_string_actions)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
    return found


def test_every_command_of_manage_py_and_its_options_exist() -> None:
    typed = [(guide, *rest.split()) for guide, rest in _typed(r"manage\.py")]
    assert len(typed) > 60
    unknown = [(guide, name) for guide, name, *_ in typed if name not in {*get_commands(), "help"}]
    assert unknown == []
    options = [
        (guide, name, word.partition("=")[0])
        for guide, name, *words in typed
        if name != "help"
        for word in words
        if re.fullmatch(r"--[a-z-]+(=.*)?", word)
    ]
    assert len(options) > 30
    assert [one for one in options if one[2] not in _options(one[1])] == []


@cache
def _verbs(command: str) -> set[str]:
    """What the command's first word may be; empty where that is the user's own."""
    app = get_commands()[command]
    loaded = load_command_class(app, command) if isinstance(app, str) else app
    parser = loaded.create_parser("manage.py", command)
    given = [action for action in parser._actions if not action.option_strings]
    return {str(one) for one in given[0].choices} if given and given[0].choices else set()


def test_every_verb_of_a_command_exists() -> None:
    typed = [(guide, *rest.split()[:2]) for guide, rest in _typed(r"manage\.py") if len(rest.split()) > 1]
    verbs = [one for one in typed if one[1] != "help" and re.fullmatch("[a-z]+", one[2]) and _verbs(one[1])]
    assert len(verbs) > 10
    assert [one for one in verbs if one[2] not in _verbs(one[1])] == []


def test_every_service_that_compose_is_asked_for_exists() -> None:
    typed = [(guide, word) for guide, rest in _typed("docker compose") for word in rest.split()]
    named = [(guide, word.partition("=")[0]) for guide, word in typed if re.match(r"[a-z]+-[a-z]", word)]
    assert len(named) > 10
    assert [one for one in named if one[1] not in services()] == []


def test_every_object_that_kubectl_is_asked_for_exists() -> None:
    files = "".join(path.read_text() for path in (DEPLOY / "k8s").rglob("*.yaml"))
    kinds = r"(?:deploy|deployment|job|scaledobject|statefulset|pod)[/ ]([a-z][a-z-]*[a-z])"
    named = [(guide, name) for guide, rest in _typed("kubectl") for name in re.findall(kinds, rest)]
    assert len(named) > 5
    assert [one for one in named if not re.search(rf"name: {one[1]}\b", files)] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:deploy|tests|benchmarks)/[\w./-]*\w", text))
    made = ("deploy/secrets", "deploy/session-", "deploy/SERVICE", "deploy/flower")
    assert [one for one in sorted(named) if not one.startswith(made) and not (ROOT / one).exists()] == []


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = [(guide, rest.split()[0]) for guide, rest in _typed("make") if rest.split()]
    assert len(named) > 10
    assert [one for one in named if one[1] not in targets] == []
