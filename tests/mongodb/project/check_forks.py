"""A worker process that was forked from one with open connections works with its own."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable

import pytest
from django.db import connection
from django.db.models import F

from tests.mongodb.project.factories import a_tape, pieces_of
from tests.mongodb.project.shelf.models import Piece

pytestmark = pytest.mark.django_db


def in_a_fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # The driver warns when a client is used in a process that did not open it.
            warnings.simplefilter("error")
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may leave the child but its status
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def test_forked_children_and_their_parent_all_write() -> None:
    [piece] = pieces_of(a_tape(), 1)
    inherited = connection.connection

    def count() -> None:
        for _ in range(20):
            assert Piece.objects.filter(pk=piece.pk).update(attempts=F("attempts") + 1) == 1
        assert connection.connection is not inherited

    children = [in_a_fork(count) for _ in range(3)]
    count_of_own = Piece.objects.filter(pk=piece.pk).update(attempts=F("attempts") + 1)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    piece.refresh_from_db()
    assert (statuses, count_of_own, piece.attempts) == ([0, 0, 0], 1, 61)
    assert connection.connection is inherited
