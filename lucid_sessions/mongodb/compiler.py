"""Compilers of the engine: upstream's, with our query, ignore_conflicts and readable failures."""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError
from django.db.models.constants import OnConflict
from django_mongodb_backend import compiler as stock
from pymongo.errors import BulkWriteError

from lucid_sessions.mongodb.failures import readable
from lucid_sessions.mongodb.query import SortedEarly

DUPLICATE_KEY = 11000


class SQLCompiler(stock.SQLCompiler):
    query_class = SortedEarly

    @readable
    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        return super().execute_sql(*args, **kwargs)


class SQLInsertCompiler(stock.SQLInsertCompiler, SQLCompiler):
    def pre_sql_setup(self, *_args: Any, **_kwargs: Any) -> tuple[list[Any], list[Any], list[Any]]:
        # Upstream works out which columns to select and how to sort them; an insert does neither, and that
        # took as long as the driver.
        return [], [], []

    @readable
    def insert(self, docs: list[dict[str, Any]], returning_fields: Any = None) -> Any:
        if self.query.on_conflict == OnConflict.IGNORE:
            return self._insert_new(docs)
        return super().insert(docs, returning_fields)

    def _insert_new(self, docs: list[dict[str, Any]]) -> list[Any]:
        if self.connection.session:
            # The first duplicate would abort the whole transaction.
            raise NotSupportedError("ignore_conflicts does not work inside a MongoDB transaction.")
        try:
            self.collection.insert_many(docs, ordered=False)
        except BulkWriteError as error:
            refused = error.details or {}
            others = [write for write in refused.get("writeErrors", ()) if write["code"] != DUPLICATE_KEY]
            if others or refused.get("writeConcernErrors"):
                raise
        return []


class SQLDeleteCompiler(stock.SQLDeleteCompiler, SQLCompiler):
    @readable
    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        return super().execute_sql(*args, **kwargs)


class SQLUpdateCompiler(stock.SQLUpdateCompiler, SQLCompiler):
    @readable
    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        return super().execute_sql(*args, **kwargs)


class SQLAggregateCompiler(stock.SQLAggregateCompiler, SQLCompiler):
    pass
