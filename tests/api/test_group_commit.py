"""Rows of requests that write at the same time: one transaction, and each hears what came of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import Error, IntegrityError, OperationalError, connections, transaction
from django.db.models import Model

from lucid_sessions.access import group_commit
from lucid_sessions.access.group_commit import MOST_TOGETHER, GroupCommit, Write
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings.models import Session, SessionTag
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


class Commits:
    """A group commit of the test's own, whose first leader waits before it writes until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.group, self.batches = GroupCommit(), list[int]()
        self.begun = 0
        self.go, self.leads = threading.Event(), threading.Event()
        self.fail: Callable[[], object] = lambda: None
        self._real = group_commit._insert_all
        monkeypatch.setattr(group_commit, "_insert_all", self._insert_all)
        self._threads = ThreadPoolExecutor(2 * MOST_TOGETHER)

    def _insert_all(self, batch: list[Write]) -> None:
        self.begun += 1
        self.leads.set()
        assert self.go.wait(PATIENCE)
        self.batches.append(len(batch))
        self.fail()
        self._real(batch)

    def write(self, *rows: Model) -> "Future[None]":
        """Begun in another thread; the first one leads, those that follow are in the queue when we return."""
        leads, before = not self.leads.is_set(), self.group.waiting
        done = self._threads.submit(self._one, self.group, rows)
        if leads:
            assert self.leads.wait(PATIENCE)
            return done
        while self.group.waiting == before:
            assert not done.done()
            time.sleep(0.001)
        return done

    def elsewhere(self, group: GroupCommit, *rows: Model) -> "Future[None]":
        """Begun in another thread, in a group commit as another process has one."""
        return self._threads.submit(self._one, group, rows)

    def _one(self, group: GroupCommit, rows: tuple[Model, ...]) -> None:
        try:
            group.write(rows)
        finally:
            connections.close_all()

    def close(self) -> None:
        self.go.set()
        self._threads.shutdown()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Commits]:
    commits = Commits(monkeypatch)
    yield commits
    commits.close()


def event(action: str = "tried", **more: Any) -> AuditEvent:
    return AuditEvent(action=action, at_us=1, **more)


def actions() -> list[str]:
    return sorted(AuditEvent.objects.values_list("action", flat=True))


def test_writes_that_wait_go_into_one_transaction(commits: Commits) -> None:
    writes = [commits.write(event(f"event {number}")) for number in range(6)]
    assert actions() == []
    commits.go.set()
    for write in writes:
        write.result(PATIENCE)
    assert commits.batches == [1, 5]
    assert actions() == [f"event {number}" for number in range(6)]


def test_rows_of_several_kinds_keep_their_order(commits: Commits) -> None:
    first = commits.write(event())
    writes = []
    for name in ("a", "b"):
        session = Session(name=name, source="synthetic://")
        writes.append(commits.write(session, SessionTag(session=session.pk, tag=name), event(name)))
    commits.go.set()
    for write in (first, *writes):
        write.result(PATIENCE)
    assert sorted(SessionTag.objects.values_list("tag", flat=True)) == ["a", "b"]
    assert actions() == ["a", "b", "tried"]


def test_only_whose_row_cannot_be_written_hears_of_it(commits: Commits) -> None:
    there = event("there")
    there.save(force_insert=True)
    writes = [commits.write(event("first"))]
    good = [commits.write(event(f"good {number}")) for number in range(2)]
    bad = commits.write(event("twice", pk=there.pk))
    good.append(commits.write(event("good 2")))
    commits.go.set()
    for write in (*writes, *good):
        write.result(PATIENCE)
    assert isinstance(bad.exception(PATIENCE), IntegrityError)
    assert actions() == ["first", "good 0", "good 1", "good 2", "there"]


def test_all_hear_of_a_database_that_is_away_and_the_next_goes_on(
    commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_rows: object) -> None:
        raise OperationalError("away")

    writes = [commits.write(event("lost")) for _ in range(4)]
    with monkeypatch.context() as patch:
        patch.setattr(group_commit, "_insert", away)
        commits.go.set()
        for write in writes:
            with pytest.raises(OperationalError, match="away"):
                write.result(PATIENCE)
    commits.group.write([event("after")])
    assert actions() == ["after"]


def test_nobody_hears_of_success_from_a_leader_that_broke_down(commits: Commits) -> None:
    first = commits.write(event("lost"))
    second = commits.write(event("lost"))

    def broken() -> None:
        commits.fail = lambda: None
        raise SystemExit

    commits.fail = broken
    third = commits.write(event("kept"))
    commits.go.set()
    with pytest.raises(SystemExit):
        first.result(PATIENCE)
    # They were not in what the first one led.
    second.result(PATIENCE)
    third.result(PATIENCE)
    assert actions() == ["kept", "lost"]


def test_a_follower_of_a_leader_that_broke_down_is_told_so(commits: Commits) -> None:
    commits.write(event("first"))
    followers = [commits.write(event("lost")) for _ in range(3)]

    def broken() -> None:
        if len(commits.batches) == 2:
            raise SystemExit

    commits.fail = broken
    commits.go.set()
    failures = [follower.exception(PATIENCE) for follower in followers]
    assert isinstance(failures[0], SystemExit)
    assert all(isinstance(failure, Error) for failure in failures[1:])
    assert actions() == ["first"]


def test_a_long_queue_is_written_in_pieces(commits: Commits) -> None:
    writes = [commits.write(event(f"{number:03}")) for number in range(MOST_TOGETHER + 3)]
    commits.go.set()
    for write in writes:
        write.result(PATIENCE)
    assert commits.batches == [1, MOST_TOGETHER, 2]
    assert len(actions()) == MOST_TOGETHER + 3


@pytest.mark.sqlite_only(why="MongoDB has no such transactions here")
def test_inside_a_transaction_a_write_belongs_to_it() -> None:
    with transaction.atomic():
        group_commit.write([event(), event()])
        assert actions() == ["tried", "tried"]
        transaction.set_rollback(True)
    assert actions() == []


@pytest.mark.sqlite_only(why="others are not held back")
def test_of_two_groups_on_one_database_one_writes_at_a_time(commits: Commits) -> None:
    first = commits.write(event("first"))
    group_commit._opened.cache_clear()  # as another process would, it opens the lock anew
    second = commits.elsewhere(GroupCommit(), event("second"))
    time.sleep(0.3)
    assert commits.begun == 1
    commits.go.set()
    first.result(PATIENCE)
    second.result(PATIENCE)
    assert actions() == ["first", "second"]
