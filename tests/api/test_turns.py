"""Requests wait for one another in turns, but not for one that waits for something else."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lucid_sessions.access.turns import AT_ONCE, PATIENCE_SECONDS, Turns, writing


class Slow:
    """An application that answers `seconds` after it was asked, or as soon as it is let go."""

    def __init__(self, seconds: float) -> None:
        self.go, self.inside, self.most = threading.Event(), 0, 0
        self._seconds, self._lock = seconds, threading.Lock()

    def __call__(self, _environ: dict[str, Any], _start: Any) -> list[bytes]:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.go.wait(self._seconds)
        with self._lock:
            self.inside -= 1
        return [b"done"]


def ask(turns: Turns, path: str) -> threading.Thread:
    thread = threading.Thread(target=turns, args=({"PATH_INFO": path}, None))
    thread.start()
    return thread


def seconds_until(slow: Slow, *, inside: int) -> float:
    began = time.monotonic()
    while slow.inside < inside:
        assert time.monotonic() - began < 5
        time.sleep(0.001)
    return time.monotonic() - began


@pytest.fixture
def hanging() -> Iterator[tuple[Turns, Slow]]:
    """As many requests as compute at once, all of which wait for something that does not come."""
    slow = Slow(30)
    turns = Turns(slow)
    threads = [ask(turns, "/api/v1/sessions") for _ in range(AT_ONCE)]
    seconds_until(slow, inside=AT_ONCE)
    yield turns, slow
    slow.go.set()
    for one in threads:
        one.join()


def test_no_more_than_a_few_compute_at_once() -> None:
    slow = Slow(0.002)
    turns = Turns(slow)
    for one in [ask(turns, "/api/v1/sessions") for _ in range(4 * AT_ONCE)]:
        one.join()
    assert 0 < slow.most <= AT_ONCE


def test_others_wait_only_for_a_moment_for_requests_that_hang(hanging: tuple[Turns, Slow]) -> None:
    turns, slow = hanging
    began = time.monotonic()
    ask(turns, "/api/v1/sessions")
    seconds_until(slow, inside=AT_ONCE + 1)
    assert time.monotonic() - began >= PATIENCE_SECONDS


@pytest.mark.parametrize("path", ["/health/live", "/api/v1/health"])
def test_health_does_not_wait_at_all(hanging: tuple[Turns, Slow], path: str) -> None:
    turns, slow = hanging
    # Nobody else gets in without waiting: a place taken would show.
    ask(turns, path)
    assert seconds_until(slow, inside=AT_ONCE + 1) < PATIENCE_SECONDS


@pytest.mark.django_db
def test_inside_a_transaction_nobody_waits_for_another_writer() -> None:
    with writing(), writing():
        pass
