"""Cursors: where a page ended, so that the next begins behind it, however deep in the list.

A cursor holds the list's address and the last row's ordering columns, one of which is unique. It grants
nothing: whoever makes one up gets rows that he may list anyway, or 404.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import CharField, DateTimeField, IntegerField, Q, QuerySet, UUIDField

from .problems import NO_SUCH_THING, Problem

WRONG = Problem(NO_SUCH_THING, "cursor: is none that this list gave with this ordering.")


def ordering_of(rows: "QuerySet[Any]") -> tuple[str, ...]:
    """The columns that the rows are ordered by, such as `-created_at`."""
    found = rows.query.order_by or rows.model._meta.ordering or ()
    return tuple("id" if one == "pk" else "-id" if one == "-pk" else str(one) for one in found)


def write(row: Any, ordering: tuple[str, ...], *, of: str) -> str:
    """The cursor behind this row of the list at the address `of`."""
    names = [one.lstrip("-") for one in ordering]
    values = [row[name] if isinstance(row, Mapping) else getattr(row, name) for name in names]
    texts = [one.isoformat() if isinstance(one, datetime) else one for one in values]
    text = json.dumps([of, list(ordering), [str(t) if isinstance(t, UUID) else t for t in texts]])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def behind(rows: "QuerySet[Any]", cursor: str, *, of: str) -> "list[QuerySet[Any]]":
    """The rows behind the cursor, as lists to be read one after the other, each found by its index.

    All of them for an empty cursor; 404 for one of another list.
    """
    if not cursor:
        return [rows]
    ordering = ordering_of(rows)
    values = _values(rows.model, ordering, _read(cursor, of, ordering))
    # Column by column from the last: level in those before it, and behind in this one.
    steps = [_step(ordering[: place + 1], values) for place in reversed(range(len(ordering)))]
    if isinstance(rows.model._meta.get_field(ordering[0].lstrip("-")), CharField):
        # Many rows share a word: asked for together, all before the cursor would be read and passed over.
        return [rows.filter(step) for step in steps]
    # Few share a moment. Said once more by itself is what an index begins with.
    name, way = ordering[0].lstrip("-"), "lte" if ordering[0].startswith("-") else "gte"
    return [rows.filter(**{f"{name}__{way}": values[0]}).filter(reduce(or_, steps))]


def _step(ordering: tuple[str, ...], values: list[Any]) -> Q:
    *level, last = zip(ordering, values, strict=False)
    way = "lt" if last[0].startswith("-") else "gt"
    same = {name.lstrip("-"): value for name, value in level}
    return Q(**same, **{f"{last[0].lstrip('-')}__{way}": last[1]})


def _read(cursor: str, of: str, ordering: tuple[str, ...]) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, given, values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        # Several lists are ordered alike: what lies behind a row of another one is no page of this.
        if (at, tuple(given)) != (of, ordering) or not isinstance(values, list) or len(values) != len(given):
            raise WRONG
    except (ValueError, TypeError, RecursionError) as error:
        raise WRONG from error
    return values


def _values(model: Any, ordering: tuple[str, ...], given: list[Any]) -> list[Any]:
    try:
        return [_value(model, n.lstrip("-"), v) for n, v in zip(ordering, given, strict=True)]
    except (ValueError, TypeError, OverflowError, ValidationError) as error:
        raise WRONG from error


def _value(model: Any, name: str, value: Any) -> Any:
    """The value as its column has it; WRONG or another error that `_values` knows for what it cannot have."""
    field = model._meta.get_field(name)
    kind = int if isinstance(field, IntegerField) else str
    if type(value) is not kind:
        raise WRONG
    if isinstance(value, int):
        field.run_validators(value)  # no database has numbers of any size
        return value
    value.encode()  # half a surrogate pair cannot be
    if isinstance(field, DateTimeField):
        return _moment(value)
    return UUID(value) if isinstance(field, UUIDField) else value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise WRONG
    return moment.astimezone(UTC)
