"""Somebody who copies at an X display, and what the recording knows of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import xcffib
import xcffib.xproto

from recorder.sources.clipboard import SECRET_HINT

from .stage import Child

COPIED = b"correct horse battery"


@contextmanager
def copying(
    display: str, content: bytes, *, gives: bool = True, hint: bytes = b""
) -> Iterator[Callable[[], None]]:
    """A program of a display that copies a text when told to, and `gives` it to who asks or only says so.

    With `hint`, that is what it says when it is asked whether the text is a password.
    """
    x: Any = xcffib.Connection(display=display)
    root, window = x.get_setup().roots[0].root, x.generate_id()
    x.core.CreateWindow(0, window, root, 0, 0, 1, 1, 0, 2, 0, 0, [])
    over = Event()

    def answers() -> None:
        while not over.wait(0.02):
            asked = x.poll_for_event()
            if isinstance(asked, xcffib.xproto.SelectionRequestEvent):
                is_hint = hint and asked.target == _atom(x, SECRET_HINT)
                _answer(x, asked, hint if is_hint else content, gives=gives)

    def copy() -> None:
        x.core.SetSelectionOwner(window, _atom(x, "CLIPBOARD"), 0)
        x.flush()

    thread = Thread(target=answers)
    thread.start()
    try:
        yield copy
    finally:
        over.set()
        thread.join()
        x.disconnect()


def owned(display: str) -> bool:
    """Whether a program of the display has something to paste."""
    x: Any = xcffib.Connection(display=display)
    owner = x.core.GetSelectionOwner(_atom(x, "CLIPBOARD")).reply().owner
    x.disconnect()
    return bool(owner)


def told(child: Child, kind: str = "clip") -> list[dict[str, Any]]:
    """What the input track, as far as it is written, tells of the clipboard, or of what else."""
    written = sorted(path for path in child.directory.iterdir() if "_input_" in path.name)
    try:
        # What is still being written is given its name at its end, perhaps at this moment.
        texts = [path.read_text() for path in written]
    except FileNotFoundError:
        return told(child, kind)
    facts = [json.loads(line) for text in texts for line in text.splitlines() if line.endswith("}")]
    return [fact for fact in facts if fact["k"] == kind]


def _answer(x: Any, asked: xcffib.xproto.SelectionRequestEvent, content: bytes, *, gives: bool) -> None:
    targets, text = _atom(x, "TARGETS"), _atom(x, "UTF8_STRING")
    place, name = (asked.requestor, asked.property), asked.property
    if asked.target == targets:
        x.core.ChangeProperty(0, *place, 4, 32, 2, [targets, text])
    elif gives:
        x.core.ChangeProperty(0, *place, asked.target, 8, len(content), content)
    else:
        name = 0
    facts = asked.time, asked.requestor, asked.selection, asked.target, name
    x.core.SendEvent(False, asked.requestor, 0, xcffib.xproto.SelectionNotifyEvent.synthetic(*facts).pack())
    x.flush()


def _atom(x: Any, name: str) -> int:
    return int(x.core.InternAtom(False, len(name), name).reply().atom)
