"""Which key was that? The keyboard of an X display, and what the policy lets us say of a stroke."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import xcffib.xproto

from recorder.keys import (
    ALT_GR,
    LOCK,
    MASK,
    SHIFT,
    InputPolicy,
    is_command,
    modifiers,
    printed,
    silent_name,
)
from recorder.sources.windows import Window

# With `full`, a key is written only when no window that asks for a secret came up right after it.
HELD_NS = 300_000_000
NUM_LOCK, KEYPAD = 16, 0xFFAA
Fact = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Stroke:
    """A key that went down or up: when (CLOCK_MONOTONIC), which, with which modifiers."""

    ns: int
    code: int
    state: int
    down: bool

    @property
    def group(self) -> int:
        """Which of the keyboard's layouts is in force, from 0 (the X Keyboard Extension, 2.2.2)."""
        return self.state >> 13 & 3


class Keyboard:
    """Names keys by the display's own map."""

    def __init__(self, x: Any, *, policy: InputPolicy, window: Callable[[], Window]) -> None:
        self._x, self._policy, self._window = x, policy, window
        self._held: deque[tuple[Stroke, str]] = deque()
        self._changes: Counter[int] = Counter()  # how often each key was given symbols since the last look
        self._unsure_until_ns: dict[int, int] = {}
        self._learn()
        self._before = self._rows()

    def notice(self, event: Any) -> None:
        """The map may have changed."""
        if isinstance(event, xcffib.xproto.MappingNotifyEvent):
            if event.request == xcffib.xproto.Mapping.Keyboard:
                self._changes.update(range(event.first_keycode, event.first_keycode + event.count))
            self._learn()

    def noticed(self) -> None:
        """That was all for now. Whether a stroke until now came before a change or after it is not told.

        Only a key that had no symbol, and was given one once, can have printed nothing else.
        """
        if not self._changes:
            return
        rows, now_ns = self._rows(), time.monotonic_ns()
        for code, times in self._changes.items():
            before = self._before.get(code)
            if times > 1 or (before and before != rows.get(code)):
                self._unsure_until_ns[code] = now_ns
        self._before = rows
        self._changes.clear()

    def pressed(self, stroke: Stroke) -> Iterator[Fact]:
        """What may be said of a stroke now; with `full` it comes from `settled`."""
        open_name, hidden_name = self._names(stroke)
        if self._policy == "full":
            self._held.append((stroke, open_name))
        elif self._window().is_secret:
            yield _hidden(stroke)
        else:
            yield _fact(stroke, hidden_name)

    def settled(self, now_ns: int | None) -> Iterator[Fact]:
        """Strokes held back, once they may be told; None: all of them, and nothing of what they were."""
        while self._held and (now_ns is None or self._held[0][0].ns < now_ns - HELD_NS):
            stroke, name = self._held.popleft()
            yield _hidden(stroke) if now_ns is None or self._is_secret(stroke) else _fact(stroke, name)

    def _is_secret(self, stroke: Stroke) -> bool:
        """Whether a window for secrets has the input, or had it until shortly before the stroke."""
        window = self._window()
        return window.is_secret or stroke.ns <= window.secret_until_ns + HELD_NS

    def _names(self, stroke: Stroke) -> tuple[str, str]:
        """The stroke's name as it is, and as it is when it must not be known."""
        if stroke.ns <= self._unsure_until_ns.get(stroke.code, 0):
            return MASK, MASK
        symbols = self._symbols(stroke.code)
        name = _silent(symbols, stroke.group)
        if name is not None:
            return name, name
        shown = printed(self._symbol(symbols, stroke.state, group=stroke.group))
        return (shown, shown) if is_command(stroke.state) else (shown, MASK)

    def _symbols(self, code: int) -> list[int]:
        place = (code - self._lowest) * self._width
        return [*self._map[place : place + self._width], 0, 0, 0, 0, 0, 0]

    def _rows(self) -> dict[int, list[int]]:
        """The symbols of each key that has any."""
        codes = range(self._lowest, self._lowest + len(self._map) // self._width)
        return {code: symbols for code in codes if any(symbols := self._symbols(code)[: self._width])}

    def _symbol(self, symbols: list[int], state: int, *, group: int) -> int:
        if state & NUM_LOCK and silent_name(symbols[1]) is None and symbols[1] >= KEYPAD:
            return symbols[1]
        if group > 1 or (group == 1 and state & ALT_GR and any(symbols[4:])):
            return 0  # where the map has it depends on all other keys
        level = 4 if state & ALT_GR and symbols[4] else 2 * group
        plain, shifted = symbols[level], symbols[level + 1] or symbols[level]
        small, large = printed(plain), printed(shifted)
        is_letter = small != large == small.upper()
        upper = bool(state & SHIFT) != bool(state & LOCK and is_letter)
        return shifted if upper else plain

    def _learn(self) -> None:
        setup = self._x.get_setup()
        self._lowest = setup.min_keycode
        count = setup.max_keycode - setup.min_keycode + 1
        answer = self._x.core.GetKeyboardMapping(self._lowest, count).reply()
        self._width, self._map = answer.keysyms_per_keycode, list(answer.keysyms)


def _silent(symbols: list[int], group: int) -> str | None:
    """The name of a key that prints nothing, in either of the layouts that the map tells of."""
    names = silent_name(symbols[0]), silent_name(symbols[2] or symbols[0])
    return names[group == 1] if all(names) else None


def _fact(stroke: Stroke, name: str) -> Fact:
    held = modifiers(stroke.state)
    more = {"with": held} if held else {}
    return stroke.ns, {"k": "key", "down": stroke.down, "key": name, **more}


def _hidden(stroke: Stroke) -> Fact:
    """Not even which modifiers were held: they tell where a password has capitals."""
    return stroke.ns, {"k": "key", "down": stroke.down, "key": MASK}
