"""Redis as a broker that one bad message does not take away: what is no message is dropped."""

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis

log = structlog.get_logger(__name__)
LONGEST_REASON = 300


class Channel(redis.Channel):
    """A channel whose reader survives whatever lies in a queue."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            # Taken off the queue already. Left to rise, it would end the worker, and every other after it.
            log.error("not a message: dropped", error=f"{type(error).__name__}: {error}"[:LONGEST_REASON])
            raise Empty from error


class Transport(redis.Transport):
    """kombu's Redis transport with our channel."""

    Channel = Channel
