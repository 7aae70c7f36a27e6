"""Where the engine tells what it did; metrics listen here. Nobody listening costs nothing.

stage            stage, seconds, outcome (success, waits, quarantined, recompute), error_type
chunk            status (success, failure, quarantined), seconds, bytes: once when stored or failed
session_created  status
session_ended    seconds
frames_dropped   count
"""

from collections.abc import Callable

Listener = Callable[..., None]
_listeners: list[Listener] = []


def register(listener: Listener) -> None:
    """From now on `listener(kind, **facts)` hears of everything in this process; twice is once."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(kind: str, **facts: object) -> None:
    """Let every listener know."""
    for listener in _listeners:
        listener(kind, **facts)
