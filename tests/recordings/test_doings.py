"""What was done, folded for people to read: nothing but moves is lost, and all is in the order of time."""

import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from lucid_sessions.recordings.doings import HELD, REST_US, TWICE_US, WHEEL, Doings
from lucid_sessions.recordings.input_lines import facts_in
from recorder.keys import MASK
from recorder.lines import line

Fact = dict[str, Any]
SHELL = {"id": 1, "title": "shell", "class": "XTerm"}
EDITOR = {"id": 2, "title": "notes.txt", "class": "Editor"}
LOCKER = {"id": 3, "title": "Unlock", "class": "i3lock", "secret": True}
SECOND = 1_000_000


def told(*facts: Fact, **stretch: Any) -> list[Fact]:
    """The entries of one segment with these facts, a tenth of a second apart where they have no time."""
    doings = Doings(**stretch)
    doings.take(timed(facts), goes_on=False)
    return doings.entries()


def timed(facts: Any) -> list[Fact]:
    return [{"t": number * 100_000} | fact for number, fact in enumerate(facts)]


def stroke(key: str, *held: str) -> list[Fact]:
    more = {"with": list(held)} if held else {}
    return [{"k": "key", "down": down, "key": key, **more} for down in (True, False)]


def typed(text: str) -> list[Fact]:
    return [fact for one in text for fact in stroke(one)]


def press(number: int, x: int, y: int, *, to: tuple[int, int] | None = None) -> list[Fact]:
    places = (True, (x, y)), (False, to or (x, y))
    return [{"k": "button", "down": down, "button": number, "x": a, "y": b} for down, (a, b) in places]


def said(entries: list[Fact]) -> list[Any]:
    """The entries in a few words each."""
    named = {"typed": "text", "key": "key", "click": "button", "scroll": "direction", "window": "title"}
    return [(one["kind"], one[named[one["kind"]]], one.get("count")) for one in entries]


def test_characters_typed_one_after_the_other_are_one_text() -> None:
    (entry,) = told(*typed("ls -l"))
    assert entry == {"kind": "typed", "from_us": 0, "to_us": 800_000, "text": "ls -l", "count": 5}


def test_masked_characters_stay_masked_and_are_counted() -> None:
    assert said(told(*typed(3 * MASK))) == [("typed", 3 * MASK, 3)]


def test_commands_and_keys_that_print_nothing_have_their_names() -> None:
    control = [{"k": "key", "down": True, "key": "Control"}, *stroke("c", "Control")]
    control += [{"k": "key", "down": False, "key": "Control", "with": ["Control"]}]
    facts = [
        *typed("ls"),
        *stroke("Return"),
        *control,
        *stroke("Tab", "Shift"),
        *stroke(MASK, "Alt", "Control"),
    ]
    assert said(told(*facts)) == [
        ("typed", "ls", 2),
        ("key", "Return", 1),
        ("key", "Control-C", 1),
        ("key", "Shift-Tab", 1),
        ("key", f"Control-Alt-{MASK}", 1),
    ]


def test_the_same_key_again_and_again_is_counted() -> None:
    facts = [*typed("lss"), *stroke("BackSpace"), *stroke("BackSpace"), *typed(" "), *stroke("BackSpace")]
    assert said(told(*facts)) == [
        ("typed", "lss", 3),
        ("key", "BackSpace", 2),
        ("typed", " ", 1),
        ("key", "BackSpace", 1),
    ]


def test_a_modifier_is_told_only_when_it_was_held_for_nothing() -> None:
    capital = [
        {"k": "key", "down": True, "key": "Shift"},
        *stroke("A", "Shift"),
        *stroke("Shift", "Shift")[1:],
    ]
    assert said(told(*capital, *typed("b"))) == [("typed", "Ab", 2)]
    assert said(told(*typed("a"), *stroke("Super"), *typed("b"))) == [
        ("typed", "a", 1),
        ("key", "Super", 1),
        ("typed", "b", 1),
    ]
    # It is still held where the stretch ends.
    assert said(told({"k": "key", "down": True, "key": "Super"})) == [("key", "Super", 1)]


def test_what_a_modifier_is_held_for_may_lie_behind_the_stretch() -> None:
    down = {"t": SECOND - 10, "k": "key", "down": True, "key": "Shift"}
    up = {"t": SECOND + 30, "k": "key", "down": False, "key": "Shift"}
    capital = {"t": SECOND + 10, "k": "key", "down": True, "key": "A", "with": ["Shift"]}
    click = {"t": SECOND + 10, "k": "button", "down": True, "button": 1, "x": 1, "y": 1}
    lone = [("key", "Shift", 1)]
    for behind, expected in (([capital, up], []), ([click, up], []), ([up], lone), ([], lone)):
        assert said(told(down, *behind, to_us=SECOND)) == expected
        doings = Doings()
        doings.take([down], goes_on=False)
        assert doings.held_since_us == SECOND - 10
        doings.look_on(behind)
        assert said(doings.entries()) == expected
    # The next stretch does not tell of it again.
    assert said(told(down, capital, up, from_us=SECOND)) == [("typed", "A", 1)]
    assert said(told(down, up, from_us=SECOND)) == []


def test_another_window_and_a_rest_begin_another_text() -> None:
    facts = [*typed("a"), {"k": "window", **EDITOR}, *typed("b"), *typed("c")]
    facts = timed(facts)
    facts[-2]["t"] = facts[-1]["t"] = facts[-3]["t"] + REST_US + 200_000
    assert said(told(*facts)) == [
        ("typed", "a", 1),
        ("window", "notes.txt", None),
        ("typed", "b", 1),
        ("typed", "c", 1),
    ]


def test_clicks_have_their_place_and_drags_where_they_ended() -> None:
    double = timed([*press(1, 10, 20), *press(1, 12, 19)])
    (entry,) = told(*double)
    assert (entry["button"], entry["x"], entry["y"], entry["count"]) == ("left", 10, 20, 2)
    assert (entry["from_us"], entry["to_us"], entry["to_x"]) == (0, 300_000, None)
    first, second = told(*press(1, 10, 20), *_later(press(1, 10, 20)))
    assert (first["count"], second["count"]) == (1, 1)
    dragged, clicked = told(*press(3, 10, 20, to=(90, 25)), *press(9, 90, 25))
    assert (dragged["button"], dragged["to_x"], dragged["to_y"]) == ("right", 90, 25)
    assert clicked["button"] == "9"


def _later(facts: list[Fact]) -> list[Fact]:
    return [{"t": 100_000 + 2 * TWICE_US + number} | fact for number, fact in enumerate(facts)]


def test_the_wheel_is_counted_by_its_direction() -> None:
    facts = [*press(5, 10, 20), *press(5, 11, 20), *press(4, 11, 20)]
    assert said(told(*facts)) == [("scroll", "down", 2), ("scroll", "up", 1)]


def test_windows_and_what_was_copied_are_told() -> None:
    copied = {"k": "clip", "text": True, "length": 5, "sha256": "ab"}
    locked, entry = told({"k": "window", **LOCKER}, copied)
    times = {"from_us": 0, "to_us": 0}
    assert locked == {"kind": "window", **times, **LOCKER}
    times = {"from_us": 100_000, "to_us": 100_000}
    assert entry == {"kind": "clipboard", **times, "text": True, "length": 5, "sha256": "ab"}


def begin(window: Fact, at_us: int = 0) -> Fact:
    return {"t": at_us, "k": "begin", "v": 1, "keys": "masked", "hears": "display", "window": window}


def test_the_window_at_the_beginning_is_known_and_is_no_change() -> None:
    doings = Doings(from_us=SECOND)
    facts = [
        begin(SHELL),
        {"t": 500, "k": "window", **EDITOR},
        {"t": 600, "k": "key", "down": True, "key": "a"},
    ]
    facts += [{"t": SECOND, "k": "key", "down": True, "key": "b"}]
    doings.take(facts, goes_on=False)
    assert doings.window == {**EDITOR, "secret": False}
    assert (doings.hears, doings.keys) == ("display", "masked")
    assert said(doings.entries()) == [("typed", "b", 1)]


def test_a_text_goes_on_from_segment_to_segment_but_not_over_what_is_not_known() -> None:
    doings = Doings()
    for number, goes_on in enumerate((False, True, False)):
        key = {"t": number * SECOND + 1, "k": "key", "down": True, "key": "a"}
        # The recorder writes `begin` late, when the window may be another by then.
        doings.take([begin(EDITOR if goes_on else SHELL, number * SECOND), key], goes_on=goes_on)
        if goes_on:
            doings.interrupt("unread", number * SECOND, (number + 1) * SECOND, state="quarantined")
    kinds = [(one["kind"], one.get("text")) for one in doings.entries()]
    assert kinds == [("typed", "aa"), ("unread", None), ("typed", "a")]


def test_behind_a_hole_the_window_may_be_another() -> None:
    doings = Doings()
    doings.take([begin(SHELL)], goes_on=False)
    doings.take([begin(EDITOR, 5 * SECOND)], goes_on=False)
    assert [(one["from_us"], one["title"]) for one in doings.entries()] == [(5 * SECOND, "notes.txt")]


def test_what_came_in_late_is_told_in_its_place() -> None:
    content = (
        line(0, k="begin", v=1) + line(9, k="key", down=True, key="b") + line(5, k="key", down=True, key="a")
    )
    facts = facts_in(content, start_us=0, end_us=9)
    assert [fact["t"] for fact in facts] == [0, 5, 9]
    assert said(told(*facts)) == [("typed", "ab", 2)]


def test_what_this_release_does_not_know_is_told_by_its_name() -> None:
    assert told({"k": "gesture", "t": 7}) == [{"kind": "other", "from_us": 7, "to_us": 7, "name": "gesture"}]


keys = some.builds(
    lambda key, down, held: {"k": "key", "down": down, "key": key, **({"with": held} if held else {})},
    some.sampled_from(["a", "B", MASK, "Return", "F5", "0x1008ff13", "Caps_Lock", *sorted(HELD)]),
    some.booleans(),
    some.lists(some.sampled_from(["Control", "Shift", "AltGr", "Super"]), unique=True, max_size=2),
)
buttons = some.builds(
    lambda number, down, x: {"k": "button", "down": down, "button": number, "x": x, "y": x},
    some.integers(1, 9),
    some.booleans(),
    some.integers(-20, 20),
)
others = some.sampled_from(
    [
        {"k": "window", **SHELL},
        {"k": "window", **LOCKER},
        {"k": "clip", "text": False},
        {"k": "move", "x": 1, "y": 1},
        {"k": "tick"},
    ]
)
segments = some.lists(
    some.lists(some.tuples(some.integers(0, SECOND - 1), keys | buttons | others), max_size=12), max_size=4
)


def _facts(written: list[list[tuple[int, Fact]]]) -> list[list[Fact]]:
    """The facts of segments of a second each, as they are read."""
    return [
        facts_in(
            b"".join(line(number * SECOND + at, **fact) for at, fact in one)
            or line(number * SECOND, k="tick"),
            start_us=number * SECOND,
            end_us=(number + 1) * SECOND,
        )
        for number, one in enumerate(written)
    ]


def _pressed(facts: list[Fact]) -> Counter[str]:
    """What was done, by other code than is tested; modifiers are parts of what they are held for."""
    found: Counter[str] = Counter()
    for fact in facts:
        if fact["k"] in ("window", "clip"):
            found[fact["k"]] += 1
        elif fact["k"] == "key" and fact["down"] and fact["key"] not in HELD:
            found["key"] += 1
        elif fact["k"] == "button" and fact["down"]:
            found["wheel" if fact["button"] in WHEEL else "button"] += 1
    return found


def _counted(entries: list[Fact]) -> Counter[str]:
    kinds = {"typed": "key", "key": "key", "click": "button", "scroll": "wheel", "clipboard": "clip"}
    found: Counter[str] = Counter()
    for one in entries:
        if one.get("key") not in HELD:
            found[kinds.get(one["kind"], one["kind"])] += one.get("count", 1)
    return found


@settings(max_examples=300, deadline=None, derandomize=True)
@given(segments, some.integers(0, 4 * SECOND))
def test_nothing_but_moves_is_lost_and_times_are_in_order(
    written: list[list[tuple[int, Fact]]], middle: int
) -> None:
    facts = _facts(written)
    doings = Doings()
    for number, one in enumerate(facts):
        doings.take(one, goes_on=number > 0)
    entries = doings.entries()
    flat = [fact for one in facts for fact in one]
    assert _counted(entries) == _pressed(flat)
    assert [one["from_us"] for one in entries] == sorted(one["from_us"] for one in entries)
    assert all(one["from_us"] <= one["to_us"] for one in entries)
    characters = "".join(one["text"] for one in entries if one["kind"] == "typed")
    assert all(one["count"] == len(one["text"]) for one in entries if one["kind"] == "typed")
    assert characters == "".join(fact["key"] for fact in flat if _prints(fact))
    _nothing_is_lost_between_two_stretches(facts, middle)
    json.dumps(entries)


def _prints(fact: Fact) -> bool:
    commands = {"Control", "Alt", "Super"}
    return (
        fact["k"] == "key"
        and fact["down"]
        and len(fact["key"]) == 1
        and not commands & set(fact.get("with", ()))
    )


def _nothing_is_lost_between_two_stretches(facts: list[list[Fact]], middle: int) -> None:
    both: Counter[str] = Counter()
    for stretch in ({"to_us": middle}, {"from_us": middle}):
        doings = Doings(**stretch)
        for number, one in enumerate(facts):
            doings.take(one, goes_on=number > 0)
        both += _counted(doings.entries())
    assert both == _pressed([fact for one in facts for fact in one])
