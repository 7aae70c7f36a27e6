"""When the first packets of a stream really came: some have waited in the library that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet

    from recorder.sources.file import MediaStream
    from recorder.sources.rtsp import Arrival

SETTLING_NS = 500_000_000  # from which our clock's place is learned: what came soonest is right
WAITED_NS = 10_000_000_000  # nothing waits longer there: the stream's clock has jumped


@dataclass
class Settling:
    """The first packets of an epoch, from a key frame on: they wait until it is known how soon they come."""

    _waiting: list[Arrival] = field(default_factory=list)

    def passed(self, arrival: Arrival) -> Iterator[Arrival]:
        """What can be taken in, now that this one has come: nothing, or all that has waited."""
        arrived_ns, media, packet = arrival
        if self._waiting or (media.track == "screen" and packet.is_keyframe):
            self._waiting.append(arrival)
        if self._waiting and arrived_ns - self._waiting[0][0] >= SETTLING_NS:
            yield from self.all()

    def all(self) -> Iterator[Arrival]:
        """All that has waited so far."""
        waiting, self._waiting = self._waiting, []
        yield from settled(waiting)


def settled(arrivals: list[Arrival]) -> Iterator[Arrival]:
    """The same, each with the time at which it would have come had it been as soon as the soonest picture."""
    steady = [one for one in _before_a_jump(arrivals) if one[1].track == "screen"]
    lag_ns = min((came - _ns(media, packet) for came, media, packet in steady), default=0)
    for came_ns, media, packet in arrivals:
        soonest_ns = lag_ns + _ns(media, packet)
        waited = 0 <= came_ns - soonest_ns <= WAITED_NS
        yield soonest_ns if waited else came_ns, media, packet


def _before_a_jump(arrivals: list[Arrival]) -> Iterator[Arrival]:
    """As long as the pictures' own times and those of their coming go on together."""
    before: tuple[int, int] | None = None
    for came_ns, media, packet in arrivals:
        if media.track == "screen":
            now = came_ns, _ns(media, packet)
            if before and abs((now[1] - before[1]) - (now[0] - before[0])) > WAITED_NS:
                return
            before = now
        yield came_ns, media, packet


def _ns(media: MediaStream, packet: Packet[Any]) -> int:
    """When a packet is shown or heard, nanoseconds of the stream's own time."""
    return int((packet.pts or 0) * Fraction(media.stream.time_base or 1) * 1_000_000_000)
