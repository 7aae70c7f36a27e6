"""What is copied at an X display: how much, and its hash; never of what is known to be a secret."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import xcffib
import xcffib.xfixes
import xcffib.xproto

from recorder.sources.server_time import monotonic_ns

LARGEST = 4 * 1024 * 1024
TARGETS_MOST = 1024
# What password managers offer beside a password, for programs that keep what was copied.
SECRET_HINT, IS_SECRET = "x-kde-passwordManagerHint", b"secret"
WITHHELD = {"k": "clip", "text": True, "length": None}
Fact = tuple[int, dict[str, Any]]


class Clipboard:
    """Tells who copied how much, and its hash; the content itself is forgotten at once."""

    def __init__(self, x: Any) -> None:
        self._x = x
        names = "CLIPBOARD", "TARGETS", "UTF8_STRING", "LUCID_CLIP", "INCR", SECRET_HINT
        self._atoms = {name: _atom(x, name) for name in names}
        screen = x.get_setup().roots[x.pref_screen]
        self._window = x.generate_id()
        only_input = 2
        x.core.CreateWindow(0, self._window, screen.root, 0, 0, 1, 1, 0, only_input, 0, 0, [])
        fixes = x(xcffib.xfixes.key)
        fixes.QueryVersion(5, 0).reply()
        fixes.SelectSelectionInput(self._window, self._atoms["CLIPBOARD"], 1)
        x.flush()

    def notice(self, event: Any) -> Iterator[Fact]:
        """The fact in an event, if there is one."""
        if isinstance(event, xcffib.xfixes.SelectionNotifyEvent) and event.owner:
            self._ask(SECRET_HINT, event.selection_timestamp)
        elif isinstance(event, xcffib.xproto.SelectionNotifyEvent) and (facts := self._answered(event)):
            now_ns = time.monotonic_ns()
            # We asked with the time of the copy, and are answered with it.
            copied_ns = monotonic_ns(event.time, heard_ns=now_ns)
            yield now_ns if copied_ns is None else copied_ns, {"k": "clip", **facts}

    def _answered(self, event: Any) -> dict[str, Any] | None:
        """What an answer tells; None where more has to be asked."""
        if event.target == self._atoms[SECRET_HINT]:
            if self._is_secret(event.property):
                return WITHHELD
            self._ask("UTF8_STRING", event.time)
        elif event.target != self._atoms["UTF8_STRING"]:
            return self._offered(event.property)
        elif event.property:
            return self._text(event.property)
        else:  # Refused: there is no text, or cannot be had (an RDP client that still waits for one).
            self._ask("TARGETS", event.time)
        return None

    def _ask(self, target: str, at: int) -> None:
        names = (self._atoms[name] for name in ("CLIPBOARD", target, "LUCID_CLIP"))
        self._x.core.ConvertSelection(self._window, *names, at)
        self._x.flush()

    def _is_secret(self, name: int) -> bool:
        if not name:
            return False
        found = self._x.core.GetProperty(True, self._window, name, 0, 0, len(IS_SECRET)).reply()
        return bytes(found.value.raw) == IS_SECRET

    def _text(self, name: int) -> dict[str, Any]:
        found = self._x.core.GetProperty(True, self._window, name, 0, 0, LARGEST // 4).reply()
        from hashlib import sha256  # 2 MB, for those that copy

        content = bytes(found.value.raw)
        if found.type == self._atoms["INCR"] or found.bytes_after:
            return {"text": True, "length": None}  # too long to be looked at
        return {"text": True, "length": len(content), "sha256": sha256(content).hexdigest()}

    def _offered(self, name: int) -> dict[str, Any]:
        """What is known of a text that was not handed out: whether there is one."""
        if not name:
            return {"text": False}
        found = self._x.core.GetProperty(True, self._window, name, 0, 0, TARGETS_MOST).reply()
        offered = found.value.to_atoms() if found.format == 32 else ()
        return {"text": True, "length": None} if self._atoms["UTF8_STRING"] in offered else {"text": False}


def _atom(x: Any, name: str) -> int:
    return int(x.core.InternAtom(False, len(name), name).reply().atom)
