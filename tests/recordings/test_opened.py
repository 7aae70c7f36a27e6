"""What players share: opened once, within bounds, gone soon."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lucid_sessions.recordings.opened import Opened
from tests.waiting import until


def test_what_many_ask_for_at_once_is_opened_once() -> None:
    opened, calls, all_there = Opened(most=100, seconds=60), [], threading.Barrier(8)

    def open_() -> bytes:
        calls.append(1)
        return b"content"

    def ask() -> bytes:
        all_there.wait()
        return opened.get("key", 7, open_=open_)

    with ThreadPoolExecutor(8) as viewers:
        assert {one.result() for one in [viewers.submit(ask) for _ in range(8)]} == {b"content"}
    assert len(calls) == 1


def test_no_more_is_held_than_there_is_room_for_and_the_oldest_goes_first() -> None:
    opened, calls = Opened(most=10, seconds=60), []

    def get(key: str, length: int) -> None:
        def open_() -> bytes:
            calls.append(key)
            return bytes(length)

        opened.get(key, length, open_=open_)

    for key in ("a", "b", "a", "c", "a", "b"):
        get(key, 4)
    # "c" took the place of "b", which was used longest ago.
    assert calls == ["a", "b", "c", "b"]
    get("large", 11)
    get("large", 11)
    assert calls[-2:] == ["large", "large"]


def test_what_failed_is_tried_again_by_the_next() -> None:
    opened = Opened(most=10, seconds=60)

    def fail() -> bytes:
        raise OSError("the store is away")

    with pytest.raises(OSError, match="away"):
        opened.get("key", 1, open_=fail)
    assert opened.get("key", 1, open_=lambda: b"1") == b"1"


def test_nothing_stays_because_nobody_asks_any_more() -> None:
    opened = Opened(most=10, seconds=0.01)
    opened.get("key", 1, open_=lambda: b"1")
    until(lambda: not opened._held, "swept")
