"""What `migrate` and `check --database default` ask of a MongoDB before anything is written to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections

from lucid_sessions.mongodb.failures import readable

SINGLE = checks.Error(
    "MONGODB_URL names a MongoDB that belongs to no replica set: it has no transactions and no majority.",
    hint="Start mongod with --replSet rs0 and call rs.initiate() once; a set of one will do.",
    id="mongodb.E001",
)


@checks.register(checks.Tags.database)
def belongs_to_a_set(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """An error for each database that is a mongod by itself; an OperationalError when it cannot be asked."""
    asked = [connections[alias] for alias in databases or ()]
    return [SINGLE for one in asked if one.vendor == "mongodb" and not _is_in_a_set(one)]


@readable
def _is_in_a_set(connection: Any) -> bool:
    connection.ensure_connection()
    told: dict[str, Any] = connection.connection.admin.command("hello")
    return "setName" in told or told.get("msg") == "isdbgrid"  # shards are sets
