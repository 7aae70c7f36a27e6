"""One point in time of the database, whatever it is: everything that is read inside belongs together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from lucid_sessions.recordings.models import LedgerRecord

# Any: what is asked of it here differs from database to database.
database: Any = connection


@contextmanager
def one_point() -> Iterator[None]:
    """Every query inside sees the same state, while others go on writing. Nothing may be written inside.

    MongoDB keeps that state for five minutes by default (minSnapshotHistoryWindowInSeconds).
    """
    database.ensure_connection()
    if database.vendor == "mongodb":
        with database.connection.start_session(snapshot=True) as session:
            database.session = session
            try:
                yield
            finally:
                database.session = None
    else:
        with _deferred(), transaction.atomic():
            LedgerRecord.objects.exists()  # the first read is what fixes the point
            yield


@contextmanager
def _deferred() -> Iterator[None]:
    """SQLite's IMMEDIATE would keep all writers waiting until the backup is done."""
    before = getattr(database, "transaction_mode", None)
    if database.vendor == "sqlite":
        database.transaction_mode = "DEFERRED"
    try:
        yield
    finally:
        if database.vendor == "sqlite":
            database.transaction_mode = before
