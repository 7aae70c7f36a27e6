"""Finding sessions by a tag, by an index on every database.

MongoDB indexes each element of the list in the session's own row. SQL databases cannot, so each tag is a row
of `SessionTag` beside it, written in the transaction of the session.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from .models import Session, SessionTag


def tagged(rows: "QuerySet[Session]", tag: str) -> "QuerySet[Session]":
    """Those of the sessions that have this tag."""
    if connection.vendor == "mongodb":
        # An array equals a value there when one of its elements does.
        return rows.filter(tags=tag)
    return rows.filter(pk__in=SessionTag.objects.filter(tag=tag).values("session"))


def rows_of(session: UUID, tags: Iterable[str]) -> list[SessionTag]:
    """What says that a session has these tags, to be written beside it."""
    return [SessionTag(session=session, tag=tag) for tag in sorted(set(tags))]


def write(session: UUID, tags: Iterable[str]) -> None:
    """The session has these tags and no others; inside the transaction that says so in its own row."""
    wanted = set(tags)
    known = set(SessionTag.objects.filter(session=session).values_list("tag", flat=True))
    if gone := known - wanted:
        SessionTag.objects.filter(session=session, tag__in=gone).delete()
    SessionTag.objects.bulk_create(rows_of(session, wanted - known))
