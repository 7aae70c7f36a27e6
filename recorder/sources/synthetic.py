"""`synthetic://1280x720`: a drawn desktop; demonstrations and tests need nothing installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, urlsplit

from recorder.errors import BadSource, SourceLost
from recorder.settings import LARGEST_SIDE, SMALLEST_SIDE, Settings
from recorder.sources.desktop import Desktop

if TYPE_CHECKING:
    from recorder.screen import Picture

DEFAULT_SIZE = 1280, 720


@dataclass(frozen=True)
class SyntheticAddress:
    """A checked `synthetic://WIDTHxHEIGHT` address.

    `?dies_after=SECONDS` is a fault drill: the source is lost after that much of the session's time in a
    take, as a real one would be; `?freezes_after=SECONDS` stops answering, for the watchdog.
    """

    size: tuple[int, int] | None
    dies_after: float | None
    freezes_after: float | None

    @classmethod
    def parse(cls, url: str) -> Self:
        """The address in a URL; `BadSource` names what is wrong with it."""
        parts = urlsplit(url)
        size = _size(parts.netloc, url)
        drills = dict(parse_qsl(parts.query, keep_blank_values=True))
        unknown = set(drills) - {"dies_after", "freezes_after"}
        if unknown or parts.path.strip("/"):
            raise BadSource(f"{url} has unknown parts. Write synthetic://WIDTHxHEIGHT.")
        seconds = {name: _seconds(text, url) for name, text in drills.items()}
        return cls(size, seconds.get("dies_after"), seconds.get("freezes_after"))


class SyntheticSource:
    """Always has a new frame; the recording's frame rate is the only limit."""

    def __init__(self, address: SyntheticAddress, settings: Settings) -> None:
        wished = (settings.width, settings.height) if settings.width and settings.height else DEFAULT_SIZE
        width, height = address.size or wished
        self._address, self._desktop = address, Desktop(width, height)
        self._frame = 0
        self._began_us: int | None = None

    def wait(self, timeout: float) -> bool:
        """True: the clock has gone on."""
        return timeout >= 0

    def grab(self, at_us: int) -> Picture:
        """The desktop at a time on the timeline."""
        self._began_us = at_us if self._began_us is None else self._began_us
        self._drill((at_us - self._began_us) / 1_000_000)
        self._frame += 1
        return self._desktop.draw(at_us, frame=self._frame)

    def close(self) -> None:
        """Nothing is held."""

    def _drill(self, elapsed: float) -> None:
        if self._address.dies_after is not None and elapsed >= self._address.dies_after:
            raise SourceLost(
                f"The synthetic desktop went away after {elapsed:.1f} s, as dies_after asked. Start it again."
            )
        if self._address.freezes_after is not None and elapsed >= self._address.freezes_after:
            _freeze()


def check(url: str) -> None:
    """`BadSource` unless a desktop can be drawn for this address."""
    SyntheticAddress.parse(url)


def open_synthetic(url: str, settings: Settings) -> SyntheticSource:
    """A drawn desktop; `BadSource` when the address is wrong."""
    return SyntheticSource(SyntheticAddress.parse(url), settings)


def _size(text: str, url: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(width, height) < SMALLEST_SIDE or max(width, height) > LARGEST_SIDE:
        raise BadSource(
            f"{url} has no usable size. Write synthetic://WIDTHxHEIGHT with sides "
            f"from {SMALLEST_SIDE} to {LARGEST_SIDE}, as in synthetic://1280x720."
        )
    return width, height


def _seconds(text: str, url: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise BadSource(f"{url}: {text!r} is no number of seconds. Write a number, as in ?dies_after=1.")
    return float(text)


def _freeze() -> None:
    import time

    while True:
        time.sleep(60)
