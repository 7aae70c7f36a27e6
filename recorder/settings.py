"""How one session is to be recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from recorder.errors import BadSettings
from recorder.keys import InputPolicy

Quality = Literal["low", "medium", "high", "ultra"]
QUALITIES: tuple[str, ...] = get_args(Quality)
INPUT_POLICIES: tuple[str, ...] = get_args(InputPolicy)
SMALLEST_SIDE, LARGEST_SIDE = 16, 8192


@dataclass(frozen=True)
class Settings:
    """One session's recording settings, checked: a value out of range raises `BadSettings`.

    `width` and `height` are wishes to sources that can choose (synthetic, later RDP and VNC); x11 and file
    have a size of their own. `maximum_seconds` counts time on the session's timeline within one take.
    `idle_seconds` ends a recording of a desktop on which nothing has happened for so long.
    `input` says what is kept of keys and pointer, where a source has them. `poster_width` asks for a small
    picture of each segment. `sound` asks for what the desktop plays, where a source has it.
    `quiet_segment_seconds` lets a segment of a desktop on which nothing happens last longer; what happens
    then begins a new one at once.
    """

    frame_rate: int = 30
    width: int | None = None
    height: int | None = None
    quality: Quality = "high"
    segment_seconds: float = 4.0
    quiet_segment_seconds: float | None = None
    cursor: bool = True
    maximum_seconds: float | None = None
    idle_seconds: float | None = None
    reconnect: bool = True
    input: InputPolicy = "none"
    poster_width: int | None = None
    sound: bool = False

    def __post_init__(self) -> None:
        _check_number("frame rate", self.frame_rate, low=1, high=60, unit=" frames a second")
        for side, length in (("width", self.width), ("height", self.height)):
            if length is not None:
                _check_number(side, length, low=SMALLEST_SIDE, high=LARGEST_SIDE, unit=" pixels")
        if self.poster_width is not None:
            _check_number("poster width", self.poster_width, low=SMALLEST_SIDE, high=1920, unit=" pixels")
        _check_number("segment length", self.segment_seconds, low=0.5, high=60, unit=" seconds")
        if self.quality not in QUALITIES:
            raise BadSettings(f"Quality {self.quality!r} is unknown. Choose one of {', '.join(QUALITIES)}.")
        if self.input not in INPUT_POLICIES:
            raise BadSettings(f"Input {self.input!r} is unknown. Choose one of {', '.join(INPUT_POLICIES)}.")
        for limit, seconds, low in (
            ("maximum duration", self.maximum_seconds, 0.1),
            ("idle time", self.idle_seconds, 1),
            ("length of a quiet segment", self.quiet_segment_seconds, 1),
        ):
            if seconds is not None:
                _check_number(limit, seconds, low=low, high=31 * 86400, unit=" seconds")

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Settings:
        """Settings from plain values; unknown names raise `BadSettings`."""
        unknown = set(facts) - set(cls.__dataclass_fields__)
        if unknown:
            raise BadSettings(f"Unknown recording settings: {', '.join(sorted(unknown))}. Remove them.")
        return cls(**facts)


def _check_number(name: str, number: object, *, low: float, high: float, unit: str) -> None:
    fits = isinstance(number, (int, float)) and not isinstance(number, bool) and low <= number <= high
    if not fits:
        raise BadSettings(
            f"{name.capitalize()} {number!r} is out of range. Choose {low:g} to {high:g}{unit}."
        )
    if name in ("frame rate", "width", "height", "poster width") and not isinstance(number, int):
        raise BadSettings(
            f"{name.capitalize()} {number!r} is no whole number. Choose {low:g} to {high:g}{unit}."
        )
