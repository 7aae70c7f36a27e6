"""New rows by SQL composed once: to compose it each time, as the ORM does, costs more than writing it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field, Model


def insert(rows: Sequence[Model]) -> None:
    """The rows, all of one model whose key is not drawn by the database, are written; no signal is sent."""
    model: Any = type(rows[0])
    if connection.vendor == "mongodb":
        model._base_manager.bulk_create(rows)
        return
    sql, fields = _composed(model)
    values = [
        [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(sql, values)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


@cache
def _composed(model: Any) -> tuple[str, "list[Field[Any, Any]]"]:
    quoted, fields = connection.ops.quote_name, list(model._meta.concrete_fields)
    columns = ", ".join(quoted(field.column) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    sql = f"INSERT INTO {quoted(model._meta.db_table)} ({columns}) VALUES ({marks})"  # noqa: S608  # nosec B608 -- our own names
    return sql, fields
