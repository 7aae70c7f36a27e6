"""Decode times for pictures whose file says only when they are shown (Matroska)."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet

DEEPEST = 17  # no codec in use holds more than 16 pictures back


def with_decode_times(packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
    """The same packets, each with a decode time that grows and is not after its presentation.

    The nth packet is decoded when the nth picture is shown, less a constant: how far the stream reorders.
    """
    waiting: deque[Packet[Any]] = deque()
    shown: list[int] = []
    delay: int | None = None
    for packet in packets:
        waiting.append(packet)
        heapq.heappush(shown, packet.pts or 0)
        if len(waiting) >= DEEPEST:
            delay = _delay(waiting, shown) if delay is None else delay
            yield _stamp(waiting, shown, delay)
    while waiting:
        delay = _delay(waiting, shown) if delay is None else delay
        yield _stamp(waiting, shown, delay)


def _delay(waiting: Iterable[Packet[Any]], shown: list[int]) -> int:
    """How much later than shown a picture may come in decode order; one unit more covers rounded times."""
    late = max(at - (packet.pts or 0) for at, packet in zip(sorted(shown), waiting, strict=True))
    return late + 1 if late > 0 else 0


def _stamp(waiting: deque[Packet[Any]], shown: list[int], delay: int) -> Packet[Any]:
    packet = waiting.popleft()
    packet.dts = min(heapq.heappop(shown) - delay, packet.pts or 0)
    return packet
