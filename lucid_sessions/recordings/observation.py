"""Where the pipeline tells what it did; metrics listen here. Nobody listening costs nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StageDone:
    """One stage of one chunk: how long it took, and how it ended.

    `chunk_seconds` is told with the last stage only: how long all of them took for this chunk.
    """

    stage: str
    seconds: float
    outcome: Literal["success", "waits", "quarantined", "recompute"]
    raw_bytes: int
    error_type: str = ""
    chunk_seconds: float = 0.0


_listeners: list[Callable[[StageDone], None]] = []


def register(listener: Callable[[StageDone], None]) -> None:
    """From now on `listener` hears of every stage in this process; twice is once."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(event: StageDone) -> None:
    """Let every listener know."""
    for listener in _listeners:
        listener(event)
