"""What a row lacks that was written by a release which did not know the column yet.

A relational store fills a new column for all rows, also later ones; documents stay as they were written. So a
missing value reads as the column's default, and `complete` writes it, once the earlier release is gone.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import Field, Model


def default_for(field: Any) -> Any:
    """What a missing value of the field stands for; None where that is what it would be anyway."""
    if not isinstance(field, Field) or field.null or field.primary_key or field.is_relation:
        return None
    # A default that differs each time (an identity, a time) is not what the row would have had.
    if not field.has_default() or (callable(field.default) and field.default not in (dict, list)):
        return None
    return field.get_default()


def complete() -> int:
    """How many values were written into rows that lacked them; 0 on a relational store, where none can."""
    if connection.vendor != "mongodb":
        return 0
    return sum(
        _complete(model, field) for model in apps.get_models() for field in model._meta.concrete_fields
    )


def _complete(model: type[Model], field: Any) -> int:
    value = default_for(field)
    if value is None or not model._meta.managed:
        return 0
    from lucid_sessions.mongodb.failures import readable

    collection: Any = connection.get_collection(model._meta.db_table)  # type: ignore[attr-defined]
    prepared = field.get_db_prep_save(value, connection)
    write = readable(collection.update_many)
    done = write({field.column: {"$exists": False}}, {"$set": {field.column: prepared}})
    return int(done.modified_count)
