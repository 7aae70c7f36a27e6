"""What is done at an X display: keys, buttons and moves by the RECORD extension, windows, the clipboard."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any

import xcffib
import xcffib.record
import xcffib.xproto

from recorder.errors import BadSource, SourceAway
from recorder.keys import InputPolicy
from recorder.sources.clipboard import WITHHELD, Clipboard
from recorder.sources.keyboard import Keyboard, Stroke
from recorder.sources.server_time import monotonic_ns
from recorder.sources.windows import Windows
from recorder.sources.x11_connection import lacking

KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION = 2, 3, 4, 5, 6
NEEDED = ("RECORD", "XFIXES")
MOVES_EVERY_MS = 100
HURRY_EVERY_NS = 100_000_000
LAST_WITHIN = 5.0  # seconds that the last events have to come in, on a machine that stands still meanwhile
EVENT_BYTES = 32
ENDED = 5  # the last that RECORD says
Fact = tuple[int, dict[str, Any]]  # CLOCK_MONOTONIC nanoseconds, and what happened then


@dataclass(frozen=True)
class _Event:
    """A device event as RECORD tells it, with the time at which it reached us."""

    kind: int
    detail: int
    ms: int
    x: int
    y: int
    state: int
    heard_ns: int

    @property
    def ns(self) -> int:
        """When it happened; of a display that goes by another clock, when we heard."""
        happened_ns = monotonic_ns(self.ms, heard_ns=self.heard_ns)
        return self.heard_ns if happened_ns is None else happened_ns


class InputListener:
    """Hears everything that is done at the display that `dial` connects to, from now until it is closed.

    With another `hears` than `display` its windows are those of a client, and nobody else's business.
    `BadSource` when the display lacks RECORD or XFIXES, `SourceAway` when it does not let us listen now. A
    thread takes the events off the wire; all else happens in `heard`, in the caller's thread.
    """

    def __init__(self, dial: Callable[[], Any], *, policy: InputPolicy, hears: str = "display") -> None:
        self.hears = hears
        self._events: deque[_Event] = deque()
        with ExitStack() as unless_all_is_well:
            self._wire, self._x = _dialled(dial, unless_all_is_well), _dialled(dial, unless_all_is_well)
            try:
                self._set_up(policy)
            except (xcffib.XcffibException, OSError) as error:
                reason = f"The display does not tell of its input now: {type(error).__name__}."
                raise SourceAway(reason) from error
            unless_all_is_well.pop_all()
        self._moved_ms = self._hurried_ns = 0
        self._resting: _Event | None = None
        self._listening = Thread(target=self._listen, name="input", daemon=True)
        self._listening.start()

    def _set_up(self, policy: InputPolicy) -> None:
        _check_extensions(self._x)
        self._record = self._x(xcffib.record.key)
        self._record.QueryVersion(1, 13).reply()
        self._context = self._begin()
        self._windows = Windows(self._x)
        self._keyboard = Keyboard(self._x, policy=policy, window=lambda: self._windows.now)
        self._clipboard = Clipboard(self._x)

    def head(self) -> dict[str, Any]:
        """The window that has the input now."""
        return {"window": self._windows.now.facts()} if self.hears == "display" else {}

    def heard(self) -> Iterator[Fact]:
        """What happened since the last time, nearly in order."""
        looked_ns = time.monotonic_ns()
        yield from self._noticed()
        yield from self._done(looked_ns)
        self._hurry()

    def close(self) -> Iterator[Fact]:
        """Stop listening; what was still on its way, also from a display that is gone."""
        with suppress(xcffib.XcffibException, OSError):
            self._record.DisableContext(self._context, is_checked=True).check()
        self._listening.join(LAST_WITHIN)
        for ask in self._noticed, partial(self._done, time.monotonic_ns()):
            with suppress(xcffib.XcffibException, OSError):
                yield from ask()
        if self._resting:
            yield self._moved(self._resting)
        yield from self._keyboard.settled(None)
        with suppress(xcffib.XcffibException):
            self._x.disconnect()

    def _noticed(self) -> Iterator[Fact]:
        """What the display says of its windows, its keyboard and its clipboard."""
        while (event := self._x.poll_for_event()) is not None:
            self._keyboard.notice(event)
            self._windows.notice(event)
            for at_ns, fact in self._clipboard.notice(event):
                yield at_ns, self._discreet(fact, at_ns)
        self._keyboard.noticed()
        changes = list(self._windows.changes())
        yield from changes if self.hears == "display" else ()

    def _discreet(self, fact: dict[str, Any], at_ns: int) -> dict[str, Any]:
        """What may be said of a copy: of one from a window for secrets neither length nor hash."""
        is_ours = self.hears == "display"
        return {**WITHHELD} if is_ours and self._windows.may_have_been_secret(at_ns) else fact

    def _done(self, looked_ns: int) -> Iterator[Fact]:
        """What the thread has heard; the windows were looked at then, or later."""
        while self._events:
            yield from self._fact(self._events.popleft())
        if self._resting and time.monotonic_ns() - self._resting.heard_ns > MOVES_EVERY_MS * 1_000_000:
            yield self._rested(self._resting)
        yield from self._keyboard.settled(looked_ns)

    def _hurry(self) -> None:
        """Have the server hand out what it keeps for us: it does so when it writes to anybody."""
        now_ns = time.monotonic_ns()
        if now_ns - self._hurried_ns >= HURRY_EVERY_NS:
            self._hurried_ns = now_ns
            self._x.core.GetInputFocus().discard_reply()
            self._x.flush()

    def _begin(self) -> int:
        """Ask for the events of all devices, whoever they are for."""
        context: int = self._x.generate_id()
        record, nothing = xcffib.record, (0, 0)
        no_extension = record.ExtRange.synthetic(
            record.Range8.synthetic(0, 0), record.Range16.synthetic(0, 0)
        )
        devices = KEY_PRESS, MOTION
        wanted = record.Range.synthetic(
            nothing, nothing, no_extension, no_extension, nothing, devices, nothing, False, False
        )
        everybody = [record.CS.AllClients]
        self._record.CreateContext(context, 0, 1, 1, everybody, [wanted], is_checked=True).check()
        return context

    def _listen(self) -> None:
        """Runs in the thread until the context is disabled or the display goes away."""
        with suppress(xcffib.XcffibException, OSError):
            stream = self._wire(xcffib.record.key).EnableContext(self._context)
            while True:
                answer = stream.reply()
                heard_ns = time.monotonic_ns()
                if answer.category == ENDED:
                    break
                if answer.category == 0 and not answer.client_swapped:
                    self._events.extend(_parsed(bytes(answer.data.raw), heard_ns))
        with suppress(xcffib.XcffibException):
            self._wire.disconnect()

    def _fact(self, event: _Event) -> Iterator[Fact]:
        if event.kind in (KEY_PRESS, KEY_RELEASE):
            down = event.kind == KEY_PRESS
            yield from self._keyboard.pressed(Stroke(event.ns, event.detail, event.state, down))
        elif event.kind in (BUTTON_PRESS, BUTTON_RELEASE):
            if self._resting:
                yield self._moved(self._resting)
            down = event.kind == BUTTON_PRESS
            yield event.ns, {"k": "button", "down": down, "button": event.detail, "x": event.x, "y": event.y}
        elif event.kind == MOTION:
            if self._resting and (event.ms - self._resting.ms) % 2**32 >= MOVES_EVERY_MS:
                yield self._rested(self._resting)
            self._resting = event
            if (event.ms - self._moved_ms) % 2**32 >= MOVES_EVERY_MS:
                yield self._moved(event)

    def _rested(self, event: _Event) -> Fact:
        """Where the pointer stays: at the next tenth of a second that is due, when it still was there."""
        early_ms = max(0, MOVES_EVERY_MS - (event.ms - self._moved_ms) % 2**32)
        at_ns, fact = self._moved(event)
        self._moved_ms += early_ms
        return at_ns + early_ms * 1_000_000, fact

    def _moved(self, event: _Event) -> Fact:
        self._resting, self._moved_ms = None, event.ms
        return event.ns, {"k": "move", "x": event.x, "y": event.y}


def _dialled(dial: Callable[[], Any], closing: ExitStack) -> Any:
    """A connection that `closing` closes: one that is merely forgotten stays open."""
    try:
        x = dial()
    except BadSource as error:
        raise SourceAway(str(error)) from error
    closing.callback(x.disconnect)
    return x


def _check_extensions(x: Any) -> None:
    if name := lacking(x, *NEEDED):
        raise BadSource(f"The display lacks the extension {name}, so it does not tell of its input.")


def _parsed(content: bytes, heard_ns: int) -> Iterator[_Event]:
    for place in range(0, len(content) - EVENT_BYTES + 1, EVENT_BYTES):
        one = content[place : place + EVENT_BYTES]
        yield _Event(
            kind=one[0] & 0x7F,
            detail=one[1],
            ms=int.from_bytes(one[4:8], "little"),
            x=int.from_bytes(one[20:22], "little", signed=True),
            y=int.from_bytes(one[22:24], "little", signed=True),
            state=int.from_bytes(one[28:30], "little"),
            heard_ns=heard_ns,
        )
