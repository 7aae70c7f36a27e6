"""Things are done beside their caller in order, and what goes wrong with them is heard."""

import os
import threading
from threading import Event

import pytest

from recorder.beside import Beside


def test_things_are_done_in_order_and_the_caller_waits_for_them_in_the_end() -> None:
    beside, done, go = Beside(ahead=2), [], Event()
    beside.do(go.wait)
    for number in range(2):
        beside.do(lambda number=number: done.append(number))
    assert (beside.is_idle, done) == (False, [])
    go.set()
    beside.do(lambda: done.append(2))
    beside.settle()
    assert (beside.is_idle, done) == (True, [0, 1, 2])


def test_a_nicer_one_leaves_the_processor_to_its_caller() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    beside, told = Beside(nicer=5), list[int]()
    beside.do(lambda: told.append(niceness()))
    beside.settle()
    assert told == [min(19, niceness() + 5)]


def test_what_went_wrong_is_raised_once_and_what_comes_after_is_done() -> None:
    beside, done = Beside(), []
    beside.do(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        beside.settle()
    beside.look()
    beside.do(lambda: done.append(1))
    beside.settle()
    assert done == [1]


def test_a_look_waits_for_nothing() -> None:
    beside, go = Beside(), Event()
    beside.do(go.wait)
    beside.look()
    assert not beside.is_idle
    go.set()
    beside.settle()
