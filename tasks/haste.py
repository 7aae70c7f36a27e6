"""How a hint is sent: once, at once. The row is the truth, and what is lost the next tick does without."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import pools

from .celery import app

# Whoever sends a hint waits no longer than this for a broker that hangs.
HASTE = {"socket_timeout": 0.3, "socket_connect_timeout": 0.3, "max_retries": 0}
# For one of the connections that are kept, beside others who are as quick.
TURN_SECONDS = 1.0


@contextmanager
def in_haste() -> Iterator[Any]:
    """A kombu connection that gives up soon. Send with `retry=False`."""
    kept = pools.connections[app.connection_for_write(transport_options=HASTE)]
    with kept.acquire(block=True, timeout=TURN_SECONDS) as connection:
        yield connection
