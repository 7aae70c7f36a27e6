"""For a moment a process may not begin another thread: what needed one is tried again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lucid_sessions.operations.background import Watched
from lucid_sessions.operations.health import Health
from lucid_sessions.recordings.webhooks import deliveries
from tests.waiting import until


@contextmanager
def no_room() -> Iterator[None]:
    """Inside, no thread's stack fits into the memory that there can be."""
    before = threading.stack_size(1 << 47)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_what_is_watched_does_not_answer_then_and_answers_again_later() -> None:
    watched = Watched(lambda: True, otherwise=False, patience=0.1)
    with no_room():
        assert watched.latest(within=0.05) is False
    until(lambda: watched.latest(within=0.05))


def test_a_probe_is_answered_all_the_same() -> None:
    health = Health({"redis": lambda: True}, service="session-storage")
    with no_room():
        assert health.ready().status == 503
    until(lambda: health.ready().status == 200)


@pytest.mark.django_db(transaction=True)
def test_webhooks_are_sent_again_later() -> None:
    with no_room():
        deliveries.soon()
    assert deliveries._sending.acquire(timeout=5)
    deliveries._sending.release()
    deliveries.soon()
    until(lambda: not deliveries._sending.locked())
