"""One stream of a camera or a file, taken over as it is: where its packets stand in the recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from recorder.clock import us_of
from recorder.sources.file import MediaStream
from recorder.stream_sound import ASTRAY_US
from recorder.track import TrackWriter

if TYPE_CHECKING:
    from av.packet import Packet


LATE_FOR_NS = 3_000_000_000  # nothing is on its way for so long, packet after packet


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
    _late_since_ns: int | None = None

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

    def is_astray(self, packet: Packet[Any], *, ahead_us: int, came_ns: int) -> bool:
        """Whether the stream's clock has left ours; where it is behind, only a key frame tells.

        Late packets may have been on their way, or waited for us: what was sent while this machine had no
        time comes all at once, and then no more is late. A clock that was put back shows at once.
        """
        is_late = -ahead_us > ASTRAY_US
        since_ns = self._late_since_ns or came_ns
        self._late_since_ns = since_ns if is_late else None
        if ahead_us > ASTRAY_US:
            return True
        is_back = self.media.ticks(packet.dts or 0) + self.shift <= self.last
        return bool(is_late and packet.is_keyframe and (is_back or came_ns - since_ns > LATE_FOR_NS))
