"""Requests wait for one another in turns, but not for one that waits for something else."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse

from lucid_sessions.access.turns import AT_ONCE, Places, Turns, aside
from tests.waiting import PATIENCE, until

# Longer than any test may take: who waits so long never gets in.
FOR_EVER = 600.0


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


def reached(slow: Slow, *, inside: int) -> None:
    until(lambda: slow.inside >= inside, every=0.001)


@pytest.fixture
def hanging() -> Iterator[Slow]:
    """An application that answers none of the requests in it until the test is over."""
    slow = Slow(FOR_EVER)
    yield slow
    slow.go.set()


def filled(turns: Turns, slow: Slow) -> Turns:
    """With as many requests in it as compute at once."""
    for _ in range(AT_ONCE):
        ask(turns, "/api/v1/sessions")
    reached(slow, inside=AT_ONCE)
    return turns


def test_no_more_than_a_few_compute_at_once() -> None:
    slow = Slow(0.002)
    turns = Turns(slow, patience=FOR_EVER)
    for one in [ask(turns, "/api/v1/sessions") for _ in range(4 * AT_ONCE)]:
        one.join()
    assert 0 < slow.most <= AT_ONCE


def test_others_wait_only_for_a_moment_for_requests_that_hang(hanging: Slow) -> None:
    ask(filled(Turns(hanging), hanging), "/api/v1/sessions")
    reached(hanging, inside=AT_ONCE + 1)


@pytest.mark.parametrize("path", ["/health/live", "/api/v1/health"])
def test_health_does_not_wait_at_all(hanging: Slow, path: str) -> None:
    # Nobody else would get in.
    ask(filled(Turns(hanging, patience=FOR_EVER), hanging), path)
    reached(hanging, inside=AT_ONCE + 1)


def test_who_came_first_goes_in_first() -> None:
    places, order = Places(1, patience=FOR_EVER), list[int]()

    def go_in(number: int) -> None:
        with places.one():
            order.append(number)

    with places.one():
        waiting = [threading.Thread(target=go_in, args=(number,)) for number in range(8)]
        for number, one in enumerate(waiting, 1):
            one.start()
            queued(places, number)
    for one in waiting:
        one.join()
    assert order == list(range(8))


def test_places_of_requests_that_hang_are_free_for_many_others(hanging: Slow) -> None:
    turns = filled(Turns(hanging), hanging)
    quick = Slow(0)
    turns.application = quick
    for one in [ask(turns, "/api/v1/sessions") for _ in range(20)]:
        one.join(PATIENCE)
        assert not one.is_alive()


def test_who_steps_aside_lets_the_next_one_in(hanging: Slow) -> None:
    came = threading.Semaphore(0)

    def wait(environ: dict[str, Any], start: Any) -> list[bytes]:
        came.release()
        with aside():
            return hanging(environ, start)

    # Nobody else would get in.
    turns = Turns(wait, patience=FOR_EVER)
    for _ in range(3 * AT_ONCE):
        ask(turns, "/api/v1/sessions")
    for _ in range(3 * AT_ONCE):
        assert came.acquire(timeout=PATIENCE)
    reached(hanging, inside=3 * AT_ONCE)


def test_who_comes_back_goes_before_those_who_came_later() -> None:
    places, order = Places(1, patience=FOR_EVER), list[str]()
    away, back = threading.Event(), threading.Event()

    def step_aside() -> None:
        with places.one():
            with aside():
                away.set()
                back.wait(PATIENCE)
            order.append("came back")

    def go_in() -> None:
        with places.one():
            order.append("came later")

    first = threading.Thread(target=step_aside)
    first.start()
    assert away.wait(PATIENCE)
    with places.one():
        later = threading.Thread(target=go_in)
        later.start()
        queued(places, 1)
        back.set()
        queued(places, 2)
    first.join()
    later.join()
    assert order == ["came back", "came later"]


def queued(places: Places, number: int) -> None:
    until(lambda: places.waiting >= number, every=0.001)


def test_aside_means_nothing_to_who_has_no_place() -> None:
    with aside(), aside():
        pass


@pytest.mark.django_db
def test_an_answer_that_is_complete_is_handed_over_whole() -> None:
    closed = []
    answer = HttpResponse(b"all of it")
    answer._resource_closers.append(lambda: closed.append(True))
    assert Turns(lambda _environ, _start: answer)({"PATH_INFO": "/"}, None) == [b"all of it"]
    assert closed == [True]
    streamed = StreamingHttpResponse([b"a", b"b"])
    assert Turns(lambda _environ, _start: streamed)({"PATH_INFO": "/"}, None) is streamed
