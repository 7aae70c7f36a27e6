"""One stream of a camera or a file, taken over as it is: where its packets stand in the recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from recorder.clock import us_of
from recorder.sources.file import MediaStream
from recorder.track import TrackWriter

if TYPE_CHECKING:
    from av.packet import Packet


@dataclass
class StreamTrack:
    """What to add to a stream's times, and where it stands, all in ticks.

    `delay` is by how much the epoch's first picture is shown later than it is decoded. `end` is where what
    came so far has been shown, less the delay.
    """

    media: MediaStream
    writer: TrackWriter
    shift: int
    delay: int
    next_cut: int
    last: int
    end: int

    @classmethod
    def beginning(cls, media: MediaStream, writer: TrackWriter, packet: Packet[Any], *, start: int) -> Self:
        """An epoch's, at this packet. The muxer counts from the first packet's presentation."""
        shift = start - media.ticks(packet.pts or 0)
        delay = media.ticks((packet.pts or 0) - (packet.dts or 0))
        return cls(media, writer, shift, delay, start, start - delay - 1, start - delay)

    def shown_us(self, packet: Packet[Any]) -> int:
        """When a packet is shown or heard."""
        return us_of(self.media.ticks(packet.pts or 0) + self.shift, self.media.timescale)

    def lacking_us(self, packet: Packet[Any]) -> int:
        """How much is missing between what came last and this packet."""
        return us_of(self.media.ticks(packet.dts or 0) + self.shift - self.end, self.media.timescale)
