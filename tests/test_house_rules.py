"""The house rules that a machine can hold: sizes, names, commitments. docs/decisions says why."""

import ast
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES_A_FUNCTION = 40
MOST_LINES_A_MODULE = 300
ROOMS = ("lucid_sessions", "recorder", "tasks", "benchmarks")
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
# These may not be in what we publish: a registry's host, a path of one machine.
FORBIDDEN = ("/" + "root/.", "index-url " + "http")


def _tracked(*patterns: str) -> list[Path]:
    out = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in out.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def _modules() -> list[Path]:
    found = [path for path in _tracked("*.py") if path.relative_to(ROOT).parts[0] in ROOMS]
    return [path for path in found if "migrations" not in path.parts]


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_there_are_modules_to_hold_to_the_rules() -> None:
    assert len(_modules()) > 50


def test_functions_are_short() -> None:
    long = [(name, lines) for path in _modules() for name, lines in _functions(path)]
    assert [one for one in long if one[1] > MOST_LINES_A_FUNCTION] == []


def test_modules_are_short() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _modules()}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_A_MODULE} == {}


def test_modules_have_names_that_say_something() -> None:
    assert [path for path in _modules() if path.stem in NAMES_THAT_SAY_NOTHING] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _modules()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.mark.parametrize("word", FORBIDDEN)
def test_nothing_published_names_a_machine(word: str) -> None:
    texts = _tracked("*.py", "*.md", "*.txt", "*.in", "*.yml", "*.cfg", "Makefile", ".ci/run")
    assert [str(p) for p in texts if word in p.read_text(errors="replace")] == []


def test_every_pinned_requirement_has_a_hash() -> None:
    for path in _tracked("requirements/*.txt"):
        pinned = [
            line for line in path.read_text().splitlines() if "==" in line and not line.startswith((" ", "#"))
        ]
        assert pinned
        assert [line for line in pinned if not line.rstrip().endswith("\\")] == []


def test_every_direct_dependency_has_a_reason() -> None:
    reasons = (ROOT / "docs" / "dependencies.md").read_text().lower()
    wanted = {
        line.split(";")[0].split("[")[0].split("=")[0].split("<")[0].split(">")[0].strip().lower()
        for path in _tracked("requirements/*.in")
        for line in path.read_text().splitlines()
        if line.strip() and not line.startswith(("#", "-"))
    }
    assert sorted(name for name in wanted if f"`{name}`" not in reasons) == []


def test_the_tests_of_a_file_run_in_one_process(request: pytest.FixtureRequest) -> None:
    # Without the group in its id a test goes wherever there is room, and shared servers start twice.
    named = request.node.nodeid.endswith("@tests/test_house_rules.py")
    assert named is ("PYTEST_XDIST_WORKER" in os.environ)
