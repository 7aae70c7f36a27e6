"""Which window has the input: its title and class, and whether it is known to ask for a secret."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import xcffib
import xcffib.xproto

from recorder.keys import asks_for_secret

LOOK_EVERY_NS = 250_000_000  # where no window manager tells of changes
# A stretch in which nobody looked, on a machine that has too much to do: whichever window had the input then,
# it may have been one that asks for a secret.
UNSEEN_NS = 1_000_000_000
TEXT_WORDS, DEEPEST = 256, 16
PROPERTY_CHANGE = 1 << 22


@dataclass(frozen=True)
class Window:
    """A window; `secret_until_ns` is when one that asks for a secret last had the input, or may have had."""

    number: int = 0
    title: str = ""
    kind: str = ""
    secret_until_ns: int = -1

    @property
    def is_secret(self) -> bool:
        """Whether what is typed into it must not be kept."""
        return asks_for_secret(self.title, self.kind)

    def facts(self) -> dict[str, Any]:
        """As it is written."""
        secret = {"secret": True} if self.is_secret else {}
        return {"id": self.number, "title": self.title, "class": self.kind, **secret}


class Windows:
    """Follows the input from window to window."""

    def __init__(self, x: Any) -> None:
        self._x = x
        self._root = x.get_setup().roots[x.pref_screen].root
        names = ("_NET_ACTIVE_WINDOW", "_NET_WM_NAME", "WM_NAME", "WM_CLASS")
        self._atoms = {name: int(x.core.InternAtom(False, len(name), name).reply().atom) for name in names}
        self._watch(self._root)
        self._dirty, self._next_ns = False, 0
        self.now, self._looked_ns = Window(), time.monotonic_ns()
        self.now = self._look(self._looked_ns)

    def notice(self, event: Any) -> None:
        """Something about the windows may have changed."""
        if isinstance(event, xcffib.xproto.PropertyNotifyEvent):
            self._dirty = self._dirty or event.atom in self._atoms.values()

    def changes(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The window that the input has gone to, or its new title, if so."""
        now_ns = time.monotonic_ns()
        if self._dirty or now_ns >= self._next_ns:
            self._dirty, self._next_ns = False, now_ns + LOOK_EVERY_NS
            before, self.now = self.now, self._look(now_ns)
            if self.now.facts() != before.facts():
                yield now_ns, {"k": "window", **self.now.facts()}

    def may_have_been_secret(self, at_ns: int) -> bool:
        """Whether a window that asks for a secret has the input, or may have had it then."""
        return self.now.is_secret or at_ns <= self.now.secret_until_ns

    def _look(self, now_ns: int) -> Window:
        is_unseen, self._looked_ns = now_ns - self._looked_ns > UNSEEN_NS, now_ns
        secret_ns = now_ns if self.now.is_secret or is_unseen else self.now.secret_until_ns
        try:
            window = self._with_input()
            if window.number != self.now.number:
                self._watch(window.number)
        except xcffib.XcffibException:  # it closed while we looked; a display that is gone fails here again
            self._x.invalid()
            return replace(self.now, secret_until_ns=secret_ns)
        return replace(window, secret_until_ns=secret_ns)

    def _with_input(self) -> Window:
        """The active window, or one that asks for a secret, as far as it may have the keyboard.

        A screen locker takes the keyboard past the window manager, which goes on calling another one active.
        """
        active, focused = self._active(), self._focused()
        found = [self._described(number) for number in dict.fromkeys((active or focused, focused))]
        found += filter(None, map(self._described_still, self._past_the_manager()))
        return next((window for window in found if window.is_secret), found[0])

    def _described(self, number: int) -> Window:
        title = self._text(number, "_NET_WM_NAME") or self._text(number, "WM_NAME")
        return Window(number, title, self._text(number, "WM_CLASS").rstrip("\0").rpartition("\0")[2])

    def _described_still(self, number: int) -> Window | None:
        """The same of one of many, which come and go: None when it is gone."""
        with suppress(xcffib.Error):
            return self._described(number)
        return None

    def _past_the_manager(self) -> list[int]:
        """Windows on the screen that no window manager is asked about: menus, hints, screen lockers."""
        children = self._x.core.QueryTree(self._root).reply().children
        asked = [(number, self._x.core.GetWindowAttributes(number)) for number in children]
        found = []
        for number, answer in asked:
            with suppress(xcffib.Error):  # it closed
                attributes = answer.reply()
                if attributes.override_redirect and attributes.map_state == xcffib.xproto.MapState.Viewable:
                    found.append(number)
        return found

    def _active(self) -> int:
        """The window that the window manager calls active; 0 without one."""
        found = self._property(self._root, "_NET_ACTIVE_WINDOW")
        return int.from_bytes(found[:4], "little")

    def _focused(self) -> int:
        """The window that has the keyboard, or that of its parents which has a class."""
        number = int(self._x.core.GetInputFocus().reply().focus)
        if number <= 1 or number == self._root:
            return 0
        window = number
        for _ in range(DEEPEST):
            if self._property(window, "WM_CLASS"):
                return window
            window = self._x.core.QueryTree(window).reply().parent
            if window in (0, self._root):
                break
        return number

    def _text(self, number: int, name: str) -> str:
        return self._property(number, name).decode("utf-8", "replace") if number else ""

    def _property(self, number: int, name: str) -> bytes:
        any_type = 0
        answer = self._x.core.GetProperty(False, number, self._atoms[name], any_type, 0, TEXT_WORDS).reply()
        return bytes(answer.value.raw)

    def _watch(self, number: int) -> None:
        with suppress(xcffib.ProtocolException, xcffib.Error):
            wanted = xcffib.xproto.CW.EventMask, [PROPERTY_CHANGE]
            if number:
                self._x.core.ChangeWindowAttributes(number, *wanted, is_checked=True).check()
