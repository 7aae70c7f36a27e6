"""A pytest plugin: between tests on MongoDB, empty the collections but keep Django's own catalogue.

Django's flush also empties the content types and permissions and then computes them again, which takes
longer than a test does. Load it with `-p tests.mongodb.quick_flush`; on other databases it does nothing.
"""

from __future__ import annotations

from typing import Any

CATALOGUE = {"django_migrations", "django_content_type", "auth_permission"}


def pytest_configure() -> None:
    from django.test import TransactionTestCase

    # Any: the method is not public, and there is no public place for this.
    case_class: Any = TransactionTestCase
    stock = case_class._fixture_teardown

    def flush(case: TransactionTestCase) -> None:
        from django.db import connection

        if connection.vendor == "mongodb":
            empty_collections(connection)
        else:
            stock(case)

    case_class._fixture_teardown = flush


def empty_collections(connection: Any) -> None:
    """Delete every document outside the catalogue."""
    for name in connection.introspection.table_names():
        if name not in CATALOGUE and not name.startswith("system."):
            connection.database[name].delete_many({})
