"""A pytest plugin: after each test that commits, every table or collection is what it was before the first.

Django's flush also empties content types and permissions and computes them and our roles again, which takes
several times as long as a small test does.
"""

from __future__ import annotations

from typing import Any, Protocol

from django.test import TransactionTestCase

# Large, and no test changes them.
CATALOGUE = {"django_migrations", "django_content_type", "auth_permission"}


class Snapshot(Protocol):
    """What migrations left (roles, for one), to go back to after each test."""

    def __init__(self, connection: Any) -> None: ...

    def restore(self, connection: Any) -> None:
        """Put it back."""


class Collections:
    """A MongoDB database's documents."""

    def __init__(self, connection: Any) -> None:
        self._before = {name: list(connection.database[name].find()) for name in _changeable(connection)}

    def restore(self, connection: Any) -> None:
        from pymongo import WriteConcern

        # Written in this order, on disk in this order: only the last one is waited for.
        names, quick = _changeable(connection), WriteConcern(w=1, j=False)
        for name in self._touched(connection, names):
            collection = connection.database[name].with_options(write_concern=quick)
            documents = self._before.get(name, [])
            if documents and list(collection.find()) == documents:
                continue  # the roles, after most tests: reading them costs a fifth of writing them
            collection.delete_many({})
            if documents:
                collection.insert_many(documents)
        connection.database[names[-1]].delete_many({"_id": None})

    def _touched(self, connection: Any, names: list[str]) -> list[str]:
        """Those that have documents, or had some before: one question instead of an order for each."""
        looks: list[Any] = [
            [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}] for name in names
        ]
        others = [
            {"$unionWith": {"coll": name, "pipeline": look}} for name, look in zip(names, looks, strict=True)
        ]
        found = connection.database[names[0]].aggregate([*looks[0], *others[1:]])
        full = {one["name"] for one in found}
        return [name for name in names if name in full or self._before.get(name)]


class Tables:
    """An SQL database's rows. Foreign keys are checked at the commit, so the order does not matter."""

    def __init__(self, connection: Any) -> None:
        self._before: dict[str, list[tuple[Any, ...]]] = {}
        with connection.cursor() as cursor:
            for name in _changeable(connection):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(name)}")  # noqa: S608
                self._before[name] = cursor.fetchall()

    def restore(self, connection: Any) -> None:
        from django.db import transaction

        with transaction.atomic(), connection.cursor() as cursor:
            for name, rows in self._before.items():
                quoted = connection.ops.quote_name(name)
                cursor.execute(f"DELETE FROM {quoted}")  # noqa: S608
                if rows:
                    places = ", ".join(["%s"] * len(rows[0]))
                    cursor.executemany(f"INSERT INTO {quoted} VALUES ({places})", rows)  # noqa: S608


def _changeable(connection: Any) -> list[str]:
    names = connection.introspection.table_names()
    return [name for name in names if name not in CATALOGUE and not name.startswith("system.")]


def pytest_configure() -> None:
    # Any: the two methods are not public, and there is no public place for this.
    case_class: Any = TransactionTestCase
    stock_setup = case_class._fixture_setup.__func__
    taken: list[Snapshot] = []

    def setup(cls: type[TransactionTestCase]) -> None:
        from django.db import connection

        if not taken:
            taken.append(Collections(connection) if connection.vendor == "mongodb" else Tables(connection))
        stock_setup(cls)

    def teardown(_case: TransactionTestCase) -> None:
        from django.db import connection

        taken[0].restore(connection)

    case_class._fixture_setup = classmethod(setup)
    case_class._fixture_teardown = teardown
