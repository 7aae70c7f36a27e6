"""A line of an input track is a fact of a known form, or says why it is none: it never ends the reading."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from lucid_sessions.recordings.doings import Doings
from lucid_sessions.recordings.input_lines import FIELDS, NO_FACT, facts_in
from recorder.lines import line

SECOND = 1_000_000


def read(*lines: bytes) -> list[dict[str, Any]]:
    return facts_in(b"\n".join(lines), start_us=0, end_us=SECOND)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b'{"t":5,', "is no JSON"),
        (b'{"t":' + b"9" * 5000 + b"}", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[5]", "is no fact with a kind"),
        (b'{"t":5.0,"k":"tick"}', "lies outside the segment (0 to 1000000)"),
        (b'{"t":true,"k":"tick"}', "lies outside the segment (0 to 1000000)"),
        (b'{"t":1000001,"k":"tick"}', "lies outside the segment (0 to 1000000)"),
        (b'{"t":5}', "is no fact with a kind"),
        (b'{"t":5,"k":""}', "is no fact with a kind"),
        (b'{"t":5,"k":"key","down":true}', "is a key with a faulty key"),
        (b'{"t":5,"k":"key","key":"a","down":true,"with":[[]]}', "is a key with a faulty with"),
        (b'{"t":5,"k":"button","button":1,"down":true,"x":1e999}', "is a button with a faulty x"),
        (b'{"t":5,"k":"window","title":"\\udc80"}', "is a window with a faulty title"),
        (b'{"t":5,"k":"clip","length":NaN}', "is a clip with a faulty length"),
        (b'{"t":5,"k":"begin","window":{"id":[]}}', "is a begin with a faulty window"),
    ],
)
def test_a_line_that_is_no_fact_says_why_and_the_others_are_read(text: bytes, problem: str) -> None:
    before, after = line(4, k="tick")[:-1], line(6, k="tick")
    first, found, last = read(before, text, after)
    assert (first["t"], last["t"]) == (4, 6)
    assert (found["k"], found["lines"], found["reason"]) == (NO_FACT, 1, f"Line 2 {problem}")
    assert found["t"] in (4, 5)


values = some.none() | some.booleans() | some.integers() | some.floats() | some.text(some.characters())
values |= some.lists(values, max_size=2) | some.dictionaries(some.text(), values, max_size=2)
names = some.sampled_from([*FIELDS, "move", "tick", "end", "gesture"])
fields = some.dictionaries(
    some.sampled_from([*{name for one in FIELDS.values() for name in one}]), values, max_size=5
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(some.lists(some.tuples(names | values, fields), max_size=8), some.binary(max_size=30))
def test_whatever_the_lines_are_there_is_an_account_of_them(
    facts: list[tuple[Any, dict[str, Any]]], rubbish: bytes
) -> None:
    lines = [json.dumps({"t": at_us, "k": kind, **more}).encode() for at_us, (kind, more) in enumerate(facts)]
    doings = Doings()
    doings.take(read(*lines, rubbish), goes_on=False, chunk="one")
    json.dumps(doings.entries(), ensure_ascii=False, allow_nan=False).encode()
