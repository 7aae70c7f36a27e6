"""A process that is traced says where its memory is."""

import json
import os
import subprocess
import sys

from tests.operations.processes import ROOT
from tests.waiting import PATIENCE

PROGRAM = """
import sys
import django
django.setup()
from lucid_sessions.operations import memory
if memory.watch():
    before = memory.report(None)
    kept = [bytes(1000) for _ in range(5000)]
    memory.report(before)
"""
ASKED = {"DJANGO_SETTINGS_MODULE": "lucid_sessions.settings", "LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}


def _lines(traced: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | ASKED | {"PYTHONTRACEMALLOC": traced},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_the_lines_that_hold_most_and_that_grew_are_named_where_it_is_traced() -> None:
    _, line = _lines("1")
    assert line["event"] == "memory"
    for place in ("holds_most", "grew_most"):
        assert [one for one in line[place] if one.startswith("<string>:8 ")], line  # type: ignore[attr-defined]


def test_nothing_is_reported_where_it_is_not() -> None:
    assert _lines("0") == []
