"""Redis as a broker that neither a bad message nor a bad moment takes away from a worker."""

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis
from redis import Redis
from redis.exceptions import ConnectionError as ConnectionLost

log = structlog.get_logger(__name__)
LONGEST_REASON = 300
# Ours carry ids, and have some 8 KiB at most.
MOST_BYTES = 1 << 20


class Client(Redis):
    """Redis, but for messages that are longer than any of ours: they are not even looked into.

    To decode one of 100 MB, to keep it as unacknowledged and to log it takes a worker ten seconds.
    """

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        answer = super().parse_response(connection, command_name, **options)
        if command_name == "BRPOP" and answer and len(answer[1]) > MOST_BYTES:
            raise ValueError(f"{len(answer[1])} bytes; {MOST_BYTES} are the most")
        return answer


class Channel(redis.Channel):
    """A channel whose reader survives whatever lies in a queue."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            # Taken off the queue already. Left to rise, it would end the worker, and every other after it.
            log.error("not a message: dropped", error=f"{type(error).__name__}: {error}"[:LONGEST_REASON])
            raise Empty from error

    def _get_client(self) -> Any:
        return Client

    def _connparams(self, asynchronous: bool = False) -> Any:
        """How to connect. A channel that outlived its connection says so in the way that Celery expects.

        A worker that loses Redis closes its connection twice. The first time stops at the first channel that
        Redis refuses; the second finds another still open, whose transport has no client any more, and
        kombu's AttributeError would end the worker.
        """
        if self.connection.client is None:
            raise ConnectionLost("the connection of this channel was closed")
        return super()._connparams(asynchronous=asynchronous)


class Transport(redis.Transport):
    """kombu's Redis transport with our channel."""

    Channel = Channel
