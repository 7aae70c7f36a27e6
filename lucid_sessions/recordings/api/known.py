"""What the most frequent questions ask of the database: a session's version, the newest ones, its chunks.

Everything else about sessions is text that was made for that version before.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from lucid_sessions.access.roles import sees_all

from ..models import Chunk, Closure, Session
from .prepared import Prepared
from .rendering import CHUNK_COLUMNS

NEWEST = ("id", "version", "created_at")


def version_of(user: Any, pk: UUID) -> int | None:
    """The version of the session, if there is one that the user may see."""
    rows = _ANY.rows(pk) if sees_all(user) else _OWN.rows(pk, user.pk)
    return int(rows[0][0]) if rows else None


def newest(user: Any, number: int) -> list[dict[str, Any]]:
    """So many of the sessions that the user may see, the newest first: ids, versions and times.

    They are as the database keeps them, but those of the last but one: behind it the next page begins.
    """
    own = not sees_all(user)
    asked = _newest(number, own=own)
    found = asked.rows_as_kept(*([user.pk] if own else []))
    if len(found) == number > 1:
        found[-2] = asked.converted(found[-2])
    return [dict(zip(NEWEST, row, strict=True)) for row in found]


def key_of(row: Mapping[str, Any]) -> tuple[str, int]:
    """What a text is remembered by; both databases keep ids as hexadecimal digits."""
    pk = row["id"]
    return pk if isinstance(pk, str) else pk.hex, row["version"]


def first_chunks(session: UUID, number: int) -> list[dict[str, Any]]:
    """So many of the session's chunks, by track and sequence number, as the database keeps them."""
    return [dict(zip(CHUNK_COLUMNS, row, strict=True)) for row in _first_chunks(number).rows_as_kept(session)]


def count_of_chunks(session: UUID, *, most: int) -> int:
    """How many chunks the session has, or `most` if there are more."""
    return _some_chunks(most).count(session)


def closed_with(session: UUID) -> int:
    """How many chunks the session's closed takes hold together, by what their recorders said."""
    return sum(number for (number,) in _CLOSED.rows(session))


def as_kept(moment: datetime) -> datetime:
    """The time as it will be read again: MongoDB keeps milliseconds."""
    if connection.vendor != "mongodb":
        return moment
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _version(pk: UUID) -> "QuerySet[Session, Any]":
    return Session.objects.filter(pk=pk).order_by().values_list("version")


def _own_version(pk: UUID, owner: UUID) -> "QuerySet[Session, Any]":
    return _version(pk).filter(owner=owner)


_ANY, _OWN = Prepared(_version, ids=1), Prepared(_own_version, ids=2)


def _closed(session: UUID) -> "QuerySet[Closure, Any]":
    return Closure.objects.filter(session=session).order_by().values_list("last_counter")


_CLOSED = Prepared(_closed, ids=1)


@cache
def _first_chunks(number: int) -> Prepared:
    rows = Chunk.objects.order_by("track", "sequence").values_list(*CHUNK_COLUMNS)
    return Prepared(lambda session: rows.filter(session=session)[:number], ids=1)


@cache
def _some_chunks(number: int) -> Prepared:
    rows = Chunk.objects.order_by().values_list("id")
    return Prepared(lambda session: rows.filter(session=session)[:number], ids=1)


@cache
def _newest(number: int, *, own: bool) -> Prepared:
    """One for each length of page, of which there are few hundred."""
    rows = Session.objects.order_by(*(Session._meta.ordering or ())).values_list(*NEWEST)
    if own:
        return Prepared(lambda owner: rows.filter(owner=owner)[:number], ids=1)
    return Prepared(lambda: rows[:number], ids=0)
