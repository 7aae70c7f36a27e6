"""A pytest plugin: after each test on MongoDB, every collection is what it was before the first.

Django's flush also empties the content types and permissions and computes them again, which takes longer
than a test does. Load it with `-p tests.mongodb.quick_flush`; on other databases it does nothing.
"""

from __future__ import annotations

from typing import Any

# Large, and no test changes them.
CATALOGUE = {"django_migrations", "django_content_type", "auth_permission"}


class Collections:
    """What migrations left in the collections (roles, for one), to go back to after each test."""

    def __init__(self) -> None:
        self._before: dict[str, list[dict[str, Any]]] | None = None

    def remember(self, connection: Any) -> None:
        """Take note of all documents, the first time."""
        if self._before is None:
            self._before = {name: list(connection.database[name].find()) for name in _changeable(connection)}

    def restore(self, connection: Any) -> None:
        """Put back what `remember` found."""
        for name in _changeable(connection):
            connection.database[name].delete_many({})
            if documents := (self._before or {}).get(name):
                connection.database[name].insert_many(documents)


def _changeable(connection: Any) -> list[str]:
    names = connection.introspection.table_names()
    return [name for name in names if name not in CATALOGUE and not name.startswith("system.")]


def pytest_configure() -> None:
    from django.test import TransactionTestCase

    # Any: the two methods are not public, and there is no public place for this.
    case_class: Any = TransactionTestCase
    stock_setup, stock_teardown = case_class._fixture_setup.__func__, case_class._fixture_teardown
    collections = Collections()

    def setup(cls: type[TransactionTestCase]) -> None:
        from django.db import connection

        if connection.vendor == "mongodb":
            collections.remember(connection)
        stock_setup(cls)

    def teardown(case: TransactionTestCase) -> None:
        from django.db import connection

        if connection.vendor == "mongodb":
            collections.restore(connection)
        else:
            stock_teardown(case)

    case_class._fixture_setup = classmethod(setup)
    case_class._fixture_teardown = teardown
