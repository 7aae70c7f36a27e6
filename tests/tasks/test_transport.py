"""A worker's connection to Redis may be closed at any moment of an outage without ending the worker."""

import contextlib
import signal
from pathlib import Path

from kombu import Connection, Consumer, Message, Queue
from redis.exceptions import ConnectionError as ConnectionLost

from tasks.celery import app as app  # it makes our transport the one of redis:// addresses
from tests.faults.load import Redis
from tests.waiting import PATIENCE

QUEUE = Queue("capture", routing_key="capture")


def test_a_connection_that_redis_left_in_mid_poll_can_be_closed_twice(tmp_path: Path) -> None:
    """As `Consumer.on_connection_error_after_connected` of Celery does: collect, then close."""
    broker = Redis(tmp_path)
    broker.start()
    connection = Connection(broker.url)
    try:
        channel = connection.default_channel
        with connection.Producer(channel) as producer:
            producer.publish({"n": 1}, routing_key="capture", declare=[QUEUE])
        got: list[Message] = []
        consumer = Consumer(channel, QUEUE, callbacks=[lambda _body, message: got.append(message)])
        consumer.consume()
        while len(got) < 1:
            connection.drain_events(timeout=PATIENCE)
        # One message is not acknowledged, and two channels wait for others.
        other = connection.channel()
        Consumer(other, QUEUE).consume()
        for waiting in (channel, other):
            connection.transport.cycle._register_BRPOP(waiting)
    finally:
        broker.end(signal.SIGKILL)
    with contextlib.suppress(ConnectionLost):
        connection.collect()
    connection.close()
