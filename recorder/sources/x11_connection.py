"""Connections to X displays, also to those that want a cookie of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xcffib

from recorder.errors import BadSource


def connect(display: str, *, authority: Path | None = None) -> Any:
    """A connection to a display; `BadSource` when it lets nobody in. `authority` is a file of cookies."""
    dial: Any = xcffib.Connection
    try:
        with _cookies_of(authority):
            return dial(display=display)
    except xcffib.XcffibException as error:
        raise BadSource(
            f"There is no display {display} that lets us in. Check that its server runs, and XAUTHORITY."
        ) from error


@contextmanager
def _cookies_of(authority: Path | None) -> Iterator[None]:
    """The library looks for its cookie where the environment says, and xcffib passes none of ours on."""
    if authority is None:
        yield
        return
    before = os.environ.get("XAUTHORITY")
    os.environ["XAUTHORITY"] = str(authority)
    try:
        yield
    finally:
        del os.environ["XAUTHORITY"]
        if before is not None:
            os.environ["XAUTHORITY"] = before


def lacking(x: Any, *names: str) -> str | None:
    """The first of these extensions that the display lacks; None when it has all."""
    return next((one for one in names if not x.core.QueryExtension(len(one), one).reply().present), None)
