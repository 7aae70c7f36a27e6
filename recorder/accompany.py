"""Which tracks a source and its settings want beside the screen, and how each is begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from recorder import audio, thumb
from recorder import input as input_track
from recorder.clock import Timeline
from recorder.companions import Companion, Place
from recorder.input import Listener
from recorder.keys import InputPolicy
from recorder.settings import Settings
from recorder.take import Take

if TYPE_CHECKING:
    from recorder.sources import LiveSource


def places(
    take: Take, settings: Settings, *, source: LiveSource, timeline: Callable[[], Timeline]
) -> list[Place]:
    """The wanted tracks; nothing is begun yet."""
    listen: Callable[[InputPolicy], Listener] | None = getattr(source, "listen", None)
    sound: Callable[[], Mapping[str, str]] | None = getattr(source, "sound", None)

    def begin_input(at_us: int) -> Companion:
        assert listen is not None  # noqa: S101 -- see below
        listener = listen(settings.input)
        return input_track.InputTrack(
            take, listener=listener, policy=settings.input, timeline=timeline(), start_us=at_us
        )

    def begin_audio(at_us: int) -> Companion:
        assert sound is not None  # noqa: S101 -- see below
        return audio.AudioTrack(
            take,
            environment=sound(),
            timeline=timeline(),
            start_us=at_us,
            segment_seconds=settings.segment_seconds,
        )

    found = []
    if sound is not None and settings.sound:
        found.append(Place(audio.TRACK, begin_audio))
    if listen is not None and settings.input != "none":
        found.append(Place(input_track.TRACK, begin_input))
    if settings.poster_width is not None:
        width = settings.poster_width
        found.append(
            Place(thumb.TRACK, lambda _at_us: thumb.ThumbTrack(take, width=width), follows_screen=True)
        )
    return found
