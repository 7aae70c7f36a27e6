"""Rows in one transaction of MongoDB: what is in its way is tried again, and what fails leaves nothing."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection
from pymongo.errors import PyMongoError

from lucid_sessions.access import group_commit
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings.models import Session, SessionTag
from tests.waiting import until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.mongodb_only("SQLite's transactions are Django's"),
]


def rows() -> list[Any]:
    session = Session(name="new", source="synthetic://")
    return [session, SessionTag(session=session.pk, tag="t"), AuditEvent(action="made", at_us=1)]


def there() -> tuple[int, int, int]:
    return Session.objects.count(), SessionTag.objects.count(), AuditEvent.objects.count()


def database() -> Any:
    connection.ensure_connection()
    return connection.database  # type: ignore[attr-defined]


@contextmanager
def failing(command: str, times: int, **how: Any) -> Iterator[None]:
    """The server's own fail point: it fails so many of these commands in the way that it is told."""
    admin = database().client.admin
    what = {"failCommands": [command], **how}
    admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=what)
    yield
    admin.command("configureFailPoint", "failCommand", mode="off")


def test_all_of_it_is_there() -> None:
    group_commit.write(rows())
    assert there() == (1, 1, 1)


def test_what_another_transaction_is_about_to_write_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    event = AuditEvent(action="made", at_us=1)
    key = uuid.UUID(str(event.pk)).hex
    with database().client.start_session() as other:
        other.start_transaction()
        database()["access_auditevent"].insert_one({"_id": key}, session=other)
        stock, tried = Session._base_manager.bulk_create, list[int]()

        def bulk_create(those: list[Session]) -> object:
            tried.append(1)
            if len(tried) == 2:
                other.abort_transaction()
            return stock(those)

        monkeypatch.setattr(Session._base_manager, "bulk_create", bulk_create)
        group_commit.write([Session(name="new", source="synthetic://"), event])
    assert len(tried) == 2
    assert there() == (1, 0, 1)


@pytest.mark.parametrize("command", ["insert", "commitTransaction"])
def test_a_primary_that_steps_down_within_it_is_asked_again(command: str) -> None:
    with failing(command, 1, errorCode=189):
        group_commit.write(rows())
    assert there() == (1, 1, 1)


def test_one_that_never_succeeds_leaves_nothing_and_may_be_asked_for_later() -> None:
    with (
        failing("insert", 50, errorCode=189),
        pytest.raises(OperationalError, match="MongoDB: "),
    ):
        group_commit.write(rows())
    assert there() == (0, 0, 0)
    group_commit.write(rows())
    assert there() == (1, 1, 1)


def test_what_a_schema_refuses_leaves_nothing() -> None:
    database().command("collMod", "access_auditevent", validator={"action": "other"})
    try:
        with pytest.raises(DatabaseError, match="failed validation"):
            group_commit.write(rows())
    finally:
        database().command("collMod", "access_auditevent", validator={})
    assert there() == (0, 0, 0)


def test_a_commit_of_which_nothing_is_heard_is_told_and_the_next_goes_on() -> None:
    # The driver asks a second time by itself.
    with failing("commitTransaction", 2, closeConnection=True), pytest.raises(OperationalError):
        group_commit.write(rows())
    made, *_ = there()
    group_commit.write(rows())
    assert there() == (made + 1,) * 3
    # Else the server waits a minute for the word of whoever began it.
    database().client.admin.command("killAllSessions", [])


def test_an_update_that_is_interrupted_while_the_primary_changes_may_be_asked_for_again() -> None:
    """One of many rows is not tried again by the driver, and no label says of it what the code says."""
    session = Session.objects.create(name="new", source="synthetic://")
    interrupted = {"code": 11602, "errmsg": "interrupted"}
    with failing("update", 1, writeConcernError=interrupted):
        with pytest.raises(OperationalError, match="interrupted"):
            Session.objects.filter(pk=session.pk).update(name="newer")
        until(is_there_again, "the driver looks for the primary again")


def is_there_again() -> bool:
    """The driver takes the server's word that it is no primary, and asks again after some seconds."""
    with suppress(PyMongoError):
        return bool(database().client.admin.command("ping"))
    return False
