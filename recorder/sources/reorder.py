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

    The nth packet is decoded when the nth picture is shown, less a constant: how far the stream reorders at
    its beginning. Where it reorders further later, as `in_time` says.
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


def in_time(packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
    """The same packets, each decoded when it says, or as soon as those behind it need to be shown."""
    waiting: deque[Packet[Any]] = deque()
    for packet in packets:
        waiting.append(packet)
        if len(waiting) >= DEEPEST:
            yield _hurried(waiting)
    while waiting:
        yield _hurried(waiting)


def _delay(waiting: Iterable[Packet[Any]], shown: list[int]) -> int:
    """How much later than shown a picture may come in decode order; one unit more covers rounded times."""
    late = max(at - (packet.pts or 0) for at, packet in zip(sorted(shown), waiting, strict=True))
    return late + 1 if late > 0 else 0


def _stamp(waiting: deque[Packet[Any]], shown: list[int], delay: int) -> Packet[Any]:
    waiting[0].dts = heapq.heappop(shown) - delay
    return _hurried(waiting)


def _hurried(waiting: deque[Packet[Any]]) -> Packet[Any]:
    packet = waiting.popleft()
    packet.dts = min(packet.dts or 0, _latest(packet.pts or 0, waiting))
    return packet


def _latest(shown: int, following: Iterable[Packet[Any]]) -> int:
    """When a picture has to be decoded: before those behind it that are shown before it, or before others."""
    latest = shown
    for place, packet in enumerate(following, start=1):
        at = packet.pts or 0
        if at < shown:
            latest = min(latest, at - place)
        shown = max(shown, at)
    return latest
