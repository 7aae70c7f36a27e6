"""Group commit: rows that several requests want to write at the same time go into one transaction.

A commit waits for the disk, or for MongoDB's journal, and SQLite makes one at a time. So whoever comes while
a commit is under way waits for the next one, which takes all who wait: the more there are, the less each
costs. Nobody hears of success before the database has it.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Model

from .turns import aside

# The first ones of a longer queue would wait for the last.
MOST_TOGETHER = 64


@dataclass(eq=False)
class Write:
    """What one thread wants written, and how it hears of it."""

    rows: Sequence[Model]
    leads: bool = False
    called: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    failure: Exception | None = field(
        default_factory=lambda: OperationalError("The transaction that was to write this was given up.")
    )


class GroupCommit:
    """Threads that write at once: the first writes for all that have come by then, and so on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[Write] = []
        self._led = False

    @property
    def waiting(self) -> int:
        """How many writes wait for the next transaction."""
        return len(self._queue)

    def write(self, rows: Sequence[Model]) -> None:
        """All the new rows are in the database, or none, and what the database said is raised."""
        if connection.in_atomic_block:  # it is not over when we return, so nobody can join it
            _insert(rows)
            return
        mine = Write(rows)
        with self._lock:
            self._queue.append(mine)
            mine.leads, self._led = not self._led, True
        with aside():
            if not mine.leads:
                mine.called.acquire()
            if mine.leads:
                self._lead()
        if mine.failure is not None:
            raise mine.failure

    def _lead(self) -> None:
        """Write what waits, ours first; who came meanwhile is led by the first of them."""
        batch: list[Write] = []
        try:
            with _alone():
                batch = self._taken()
                _insert_all(batch)
        finally:
            self._hand_over(batch or self._taken())

    def _taken(self) -> list[Write]:
        with self._lock:
            batch = self._queue[:MOST_TOGETHER]
            del self._queue[:MOST_TOGETHER]
            return batch

    def _hand_over(self, batch: list[Write]) -> None:
        with self._lock:
            self._led = bool(self._queue)
            if self._led:
                self._queue[0].leads = True
                self._queue[0].called.release()
        for one in batch:
            one.called.release()


def _insert_all(batch: list[Write]) -> None:
    try:
        _insert([row for one in batch for row in one.rows])
    except (OperationalError, InterfaceError) as error:
        for one in batch:  # the database is away, locked or full: it would be so for each of them
            one.failure = error
    except Exception:  # noqa: BLE001  whatever it is, it is told to whose it is
        # One of them is to blame, and only that one shall hear of it.
        for one in batch:
            _insert_one(one)
    else:
        for one in batch:
            one.failure = None


def _insert_one(one: Write) -> None:
    try:
        _insert(one.rows)
    except Exception as error:  # noqa: BLE001  as above
        one.failure = error
    else:
        one.failure = None


def _insert(rows: Sequence[Model]) -> None:
    if len(rows) == 1:  # a transaction by itself
        rows[0].save(force_insert=True)
        return
    kinds: dict[type[Model], list[Model]] = {}
    for row in rows:
        kinds.setdefault(type(row), []).append(row)

    def write() -> None:
        for kind, those in kinds.items():
            kind._base_manager.bulk_create(those)

    _in_one_transaction(write)


def _in_one_transaction(write: Callable[[], None]) -> None:
    if connection.vendor == "mongodb":
        # Where SQLite is all there is, the driver is not installed.
        from lucid_sessions.mongodb.together import together

        together(connection, write)
        return
    with transaction.atomic():
        write()


@contextmanager
def _alone() -> Iterator[None]:
    """Inside, this process alone writes to SQLite, of all that ask here; other databases have no such limit.

    At SQLite's own lock, which still stands between us and all others, writers sleep, longer each time, and
    whoever comes last may well be first.
    """
    directory = Path(connection.settings_dict["NAME"]).parent
    if connection.vendor != "sqlite" or not directory.is_absolute():  # or it is in memory
        yield
        return
    descriptor = _opened(directory, os.getpid())
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@cache
def _opened(directory: Path, _process: int) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


_all = GroupCommit()


def write(rows: Sequence[Model]) -> None:
    """`GroupCommit.write`, together with everybody else in this process."""
    _all.write(rows)
