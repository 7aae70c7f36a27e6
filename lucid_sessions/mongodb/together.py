"""A transaction of MongoDB: what several writes make is there as a whole, and the journal is waited for once.

Its user is group commit, whose rows are all new: only a primary that is replaced or a schema that changes can
be in the way, and then MongoDB gives the transaction up and says that it may be tried again. Upstream's
`atomic` does not try again, and after a commit of which nothing was heard it keeps a session in which no
other transaction can begin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError
from pymongo.errors import PyMongoError

from lucid_sessions.mongodb.failures import may_be_tried_again, readable

ATTEMPTS = 3


@readable
def together(connection: Any, write: Callable[[], None]) -> None:
    """A majority has all that `write` writes on disk; or none of it is there, and MongoDB's word is raised.

    Whether it is there is not known when the connection was lost at the commit; an OperationalError says so.
    `write` is called again when MongoDB asks for it.
    """
    connection.ensure_connection()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _once(connection, write)
        except (PyMongoError, DatabaseError) as error:
            if attempt == ATTEMPTS or not may_be_tried_again(error):
                raise
        else:
            return


def _once(connection: Any, write: Callable[[], None]) -> None:
    with connection.connection.start_session() as session:
        connection.session = session
        try:
            with session.start_transaction():
                write()
        finally:
            connection.session = None
