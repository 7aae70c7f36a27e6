"""The lines of an input track, read: each is a fact of a known form, or says why it is none. Pure.

They were verified, so one that is no fact is what a faulty recorder wrote. It costs itself, not the segment.
"""

from collections.abc import Callable
from typing import Any

from recorder.lines import NO_KIND, read_fact

Fact = dict[str, Any]
# No recorder writes this kind: it stands for lines that are no facts.
NO_FACT = ""


def _is_text(value: Any) -> bool:
    # JSON can say half a character, which no answer can hold.
    return isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)


def _is_name(value: Any) -> bool:
    return _is_text(value) and value != ""


def _is_number(value: Any) -> bool:
    return type(value) is int


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _or_null(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _is_window(value: Any) -> bool:
    return isinstance(value, dict) and not _wrong(value, WINDOW)


PLACE = {"x": _or_null(_is_number), "y": _or_null(_is_number)}
WINDOW = {"id": _or_null(_is_number), "title": _is_text, "class": _is_text, "secret": _is_flag}
COPIED = {"text": _or_null(_is_flag), "length": _or_null(_is_number), "sha256": _or_null(_is_text)}
# What is told of each kind. Fields that are not named here are a later recorder's, or are not told.
FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "begin": {"hears": _is_text, "keys": _is_text, "window": _is_window},
    "key": {"key": _is_name, "down": _is_flag, "with": _are_names},
    "button": {"button": _is_number, "down": _is_flag, **PLACE},
    "window": WINDOW,
    "clip": COPIED,
}
NEEDED: dict[str, tuple[str, ...]] = {"key": ("key", "down"), "button": ("button", "down")}


def facts_in(content: bytes, *, start_us: int, end_us: int) -> list[Fact]:
    """A segment's facts in the order of time: one that came in late stands behind later ones.

    Lines that are none, one behind the other, are a fact of the kind NO_FACT: `reason` says what is wrong
    with the first, `lines` how many they are. It lies where that line says, or where the one before it lies.
    """
    found: list[Fact] = []
    at_us = start_us
    for number, text in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        fact, problem = _read(text, start_us=start_us, end_us=end_us)
        at_us = fact.get("t", at_us)
        if not problem:
            found.append(fact)
        elif found and found[-1]["k"] == NO_FACT:
            found[-1]["lines"] += 1
        else:
            found.append({"t": at_us, "k": NO_FACT, "reason": f"Line {number} {problem}", "lines": 1})
    return sorted(found, key=lambda fact: int(fact["t"]))


def _read(text: bytes, *, start_us: int, end_us: int) -> tuple[Fact, str]:
    """As `read_fact`; what is told of each kind has its form, too."""
    fact, problem = read_fact(text, start_us=start_us, end_us=end_us)
    if problem:
        return fact, problem
    known, kind = {"t": fact["t"]}, fact["k"]
    if not _is_name(kind):
        return known, NO_KIND
    missing = [name for name in NEEDED.get(kind, ()) if name not in fact]
    if wrong := missing or _wrong(fact, FIELDS.get(kind, {})):
        return known, f"is a {kind} with a faulty {wrong[0]}"
    return fact, ""


def _wrong(fact: Fact, fields: dict[str, Callable[[Any], bool]]) -> list[str]:
    return [name for name, is_right in fields.items() if name in fact and not is_right(fact[name])]
