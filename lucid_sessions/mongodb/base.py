"""The connection: exact look-ups that no client can turn into operators, and pools that survive a fork."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, NoReturn

from django.db import connections
from pymongo import MongoClient

from lucid_sessions.mongodb.maps import without_maps

with without_maps():
    from django_mongodb_backend import base
    from django_mongodb_backend.features import DatabaseFeatures as StockFeatures
    from django_mongodb_backend.operations import DatabaseOperations as StockOperations

from lucid_sessions.mongodb import completing, literals
from lucid_sessions.mongodb.schema import DatabaseSchemaEditor

literals.install()


class DatabaseFeatures(StockFeatures):
    supports_ignore_conflicts = True


class DatabaseOperations(StockOperations):
    compiler_module = "lucid_sessions.mongodb.compiler"
    # Upstream escapes every pattern but this: username__iexact=".*" matched everybody.
    prep_for_iexact_query = StockOperations.prep_for_like_query

    def get_db_converters(self, expression: Any) -> list[Any]:
        converters: list[Any] = super().get_db_converters(expression)
        default = completing.default_for(getattr(expression, "target", None))
        if default is None:
            return converters
        fill = partial(_filled, field=expression.target)
        return [fill, *converters]

    def bulk_insert_sql(self, *args: Any, **kwargs: Any) -> NoReturn:
        # Django looks for the attribute when conflicts are to be ignored; our compiler never calls it.
        raise NotImplementedError("MongoDB takes documents, not SQL.")


def _filled(value: Any, _expression: Any, connection: Any, *, field: Any) -> Any:
    return field.get_db_prep_save(field.get_default(), connection) if value is None else value


class DatabaseWrapper(base.DatabaseWrapper):
    features_class = DatabaseFeatures
    ops_class = DatabaseOperations
    SchemaEditorClass = DatabaseSchemaEditor
    mongo_operators = {
        **base.DatabaseWrapper.mongo_operators,
        # Upstream sends {column: value}, so that {"$ne": ""} for a value matches every document.
        "exact": lambda column, value: {column: {"$eq": value}},
    }


# The parent's clients, kept so that their destructors do not run in the child.
_inherited: list[MongoClient[Any]] = []


def _forget_inherited_connections() -> None:
    """Leave the child with no client: sockets, locks and threads of the parent's do not work in it."""
    _inherited.extend(DatabaseWrapper._connection_pools.values())
    DatabaseWrapper._connection_pools.clear()
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.connection = connection.session = None
            connection.__dict__.pop("database", None)
            connection.run_on_commit = []
            connection.in_atomic_block_mongo = False
            connection.nested_atomics = 0


os.register_at_fork(after_in_child=_forget_inherited_connections)
