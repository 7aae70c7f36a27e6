"""What was done at a desktop, folded from the lines of its input track for people to read. Pure.

Keys that print become texts; commands and keys that print nothing have their names; a press and the letting
go of it are one. Only moves, and the seconds in which nothing happened, are left out.
"""

from collections.abc import Iterable
from typing import Any

from .input_lines import NO_FACT, Fact

# `kind`, `from_us`, `to_us`, and what else the kind has. docs/api.md lists them.
Entry = dict[str, Any]

REST_US = 5_000_000  # who rests so long begins something new
TWICE_US = 500_000  # so soon after it, another click at the same place belongs to the first
NEAR = 5  # pixels; a button that is let go farther away has dragged something
HELD = frozenset(("Shift", "Control", "Alt", "AltGr", "Super", "Meta", "Hyper"))
# With one of these a key enters no text, or what it enters is not all that it does.
COMMANDS = frozenset(("Control", "Alt", "Super"))
ORDER = ("Control", "Alt", "AltGr", "Super", "Shift")
BUTTONS = {1: "left", 2: "middle", 3: "right"}
WHEEL = {4: "up", 5: "down", 6: "left", 7: "right"}
LEFT_OUT = frozenset(("move", "tick", "begin", "end"))
# How what stands for lines that are no facts is told: it verified, and is not what a recorder should write.
MALFORMED = "malformed"


class Doings:
    """Folds what was done from `from_us` on, and before `to_us` where that is given; microseconds.

    Give it the segments in their order, and between them what is not known. `window` is the one that had the
    input at the beginning; None where nobody can say. `hears` and `keys` are what the recorder could hear and
    was allowed to keep; None until it is known.
    """

    def __init__(self, *, from_us: int = 0, to_us: int | None = None) -> None:
        self._from_us, self._to_us = from_us, to_us
        self.window: Fact | None = None
        self.hears: str | None = None
        self.keys: str | None = None
        self._in: Fact | None = None
        self._told: list[Entry] = []
        self._last: Entry | None = None  # may still go on
        self._held: dict[str, int] = {}
        self._left_us: int | None = None  # since when one was held where what is not known begins
        self._pressed: dict[int, Entry] = {}

    def entries(self) -> list[Entry]:
        """What was done so far, in the order of time."""
        lone = [_entry("key", at_us, key=name, count=1) for name, at_us in self._held.items()]
        return sorted([*self._told, *lone], key=lambda one: int(one["from_us"]))

    @property
    def held_since_us(self) -> int | None:
        """Since when modifiers are held where the told ends, or the unknown begins; None without any."""
        return min(self._held.values(), default=self._left_us)

    def look_on(self, facts: Iterable[Fact]) -> None:
        """What lies behind the stretch, which is not told, says what those modifiers are held for."""
        for fact in facts:
            if fact["k"] not in ("key", "button"):
                continue
            if fact["down"]:
                self._held = self._held if fact.get("key") in HELD else {}
            elif fact["k"] == "key":
                self._key(int(fact["t"]), fact)

    def interrupt(self, kind: str, from_us: int, to_us: int, **facts: Any) -> None:
        """Something that is not known lies here: what was begun before it does not go on behind it."""
        self._left_us = self.held_since_us
        self._break_off()
        self._add(_entry(kind, from_us, to_us, **facts))

    def take(self, facts: Iterable[Fact], *, goes_on: bool, chunk: str = "") -> None:
        """One segment's facts, in the order of time; `goes_on` when they follow the last without a hole.

        `chunk` is its id, for whoever looks into what cannot be told of it.
        """
        self._left_us = None
        if not goes_on:
            self._break_off()
        for fact in facts:
            at_us = int(fact["t"])
            if self._to_us is not None and at_us >= self._to_us:
                self.look_on([fact])
            elif fact["k"] == "begin":
                self._begin(max(at_us, self._from_us), fact, goes_on=goes_on)
            elif at_us >= self._from_us:
                self._fact(at_us, fact, chunk)
            elif fact["k"] == "window":
                self.window = self._in = _window(fact)

    def _break_off(self) -> None:
        for name, at_us in self._held.items():
            self._add(_entry("key", at_us, key=name, count=1))
        self._last = None
        self._held, self._pressed = {}, {}

    def _begin(self, at_us: int, fact: Fact, *, goes_on: bool) -> None:
        self.hears, self.keys = fact.get("hears", self.hears), fact.get("keys", self.keys)
        # The recorder writes it some tenths of a second later, when the window may have changed already.
        if goes_on or "window" not in fact:
            return
        found = _window(fact["window"])
        if self._in is None and not self._told:
            self.window = found
        elif found != self._in:
            self._add(_entry("window", at_us, **found))
        self._in = found

    def _fact(self, at_us: int, fact: Fact, chunk: str) -> None:
        match fact["k"]:
            case "key":
                self._key(at_us, fact)
            case "button":
                self._button(at_us, fact)
            case "window":
                self._in = _window(fact)
                self._add(_entry("window", at_us, **self._in))
            case "clip":
                known = {name: fact.get(name) for name in ("text", "length", "sha256")}
                self._add(_entry("clipboard", at_us, **known))
            case kind if kind == NO_FACT:
                self._break_off()
                about: Fact = {"chunk": chunk, "state": MALFORMED, "reason": _told_of_lines(**fact)}
                self._add(_entry("unread", at_us, **about))
            case kind if kind not in LEFT_OUT:  # of a later recorder
                self._add(_entry("other", at_us, name=kind))

    def _key(self, at_us: int, fact: Fact) -> None:
        name, held = str(fact["key"]), frozenset(fact.get("with", ()))
        if not fact["down"]:
            # One that was held for nothing, such as Super, which opens a menu.
            if (since_us := self._held.pop(name, None)) is not None:
                self._again("key", since_us, within_us=REST_US, key=name)
        elif name in HELD:
            self._held.setdefault(name, at_us)
        else:
            self._held.clear()
            if len(name) > 1 or held & COMMANDS:
                self._again("key", at_us, within_us=REST_US, key=_called(name, held))
            else:
                typed = self._again("typed", at_us, within_us=REST_US)
                typed["text"] = typed.get("text", "") + name

    def _button(self, at_us: int, fact: Fact) -> None:
        number, place = int(fact["button"]), (fact.get("x"), fact.get("y"))
        if not fact["down"]:
            if (click := self._pressed.pop(number, None)) is not None:
                _let_go(click, at_us, place)
            return
        self._held.clear()
        if number in WHEEL:
            scrolled = self._again("scroll", at_us, within_us=REST_US, direction=WHEEL[number])
            scrolled.setdefault("x", place[0])
            scrolled.setdefault("y", place[1])
            return
        facts = {"button": BUTTONS.get(number, str(number)), "to_x": None, "to_y": None}
        within_us = TWICE_US if self._last and _is_near(self._last, place) else -1
        click = self._again("click", at_us, within_us=within_us, **facts)
        click.setdefault("x", place[0])
        click.setdefault("y", place[1])
        self._pressed[number] = click

    def _again(self, kind: str, at_us: int, *, within_us: int, **facts: Any) -> Entry:
        """The last entry, once more, if it is the same and not too long ago; else a new one."""
        last = self._last
        if (
            last is None
            or at_us - last["to_us"] > within_us
            or facts | {"kind": kind} != {name: last.get(name) for name in ("kind", *facts)}
        ):
            last = self._add(_entry(kind, at_us, **facts, count=0))
        last["count"] += 1
        last["to_us"] = max(last["to_us"], at_us)
        return last

    def _add(self, entry: Entry) -> Entry:
        self._told.append(entry)
        self._last = entry
        return entry


def _entry(kind: str, from_us: int, to_us: int | None = None, **facts: Any) -> Entry:
    return {"kind": kind, "from_us": from_us, "to_us": from_us if to_us is None else to_us, **facts}


def _told_of_lines(*, reason: str, lines: int, **_: Any) -> str:
    more = f" (and {lines - 1} more cannot be told)" if lines > 1 else ""
    return f"{reason}{more}."


def _window(fact: Fact) -> Fact:
    known = {name: fact.get(name, "") for name in ("title", "class")}
    return {"id": fact.get("id"), **known, "secret": bool(fact.get("secret"))}


def _called(name: str, held: frozenset[str]) -> str:
    """Such as Control-C."""
    upper = name.upper()
    return "-".join([one for one in ORDER if one in held] + [upper if len(upper) == 1 else name])


def _is_near(click: Entry, place: tuple[Any, Any]) -> bool:
    there = click.get("x"), click.get("y")
    if None in (*there, *place):
        return False
    return all(abs(one - other) <= NEAR for one, other in zip(there, place, strict=True))


def _let_go(click: Entry, at_us: int, place: tuple[Any, Any]) -> None:
    click["to_us"] = max(click["to_us"], at_us)
    if None not in place and not _is_near(click, place):
        click["to_x"], click["to_y"] = place
