import math

import pytest

from lucid_sessions.archive import RECORD_LIMIT, RecordTooLarge, canonical_json
from lucid_sessions.errors import Refused


def test_equal_values_have_one_spelling() -> None:
    assert canonical_json({"b": 1, "a": ["é", True, None]}) == '{"a":["é",true,null],"b":1}'.encode()


def test_a_record_may_be_16_kib_and_no_more() -> None:
    assert len(canonical_json("x" * (RECORD_LIMIT - 2))) == 16384
    with pytest.raises(RecordTooLarge, match="16385"):
        canonical_json("x" * (RECORD_LIMIT - 1))


def test_a_body_may_be_long() -> None:
    assert len(canonical_json(["x" * 64] * 1024, limit=None)) > RECORD_LIMIT


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 1 << 60, {1: 2}, b"bytes", object(), {"a": {2, 3}}, "\ud800"]
)
def test_what_canonical_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        canonical_json(value)


def test_a_value_without_end_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(Refused):
        canonical_json(loop)
