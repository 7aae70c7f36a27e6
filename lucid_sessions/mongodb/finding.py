"""Documents by one command: for a few of them the driver's cursor takes as long as the database itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pymongo.errors import ConnectionFailure

# Documents in one answer; where there are more, a cursor fetches them.
MOST = 1000


def found(connection: Any, table: str, wanted: dict[str, Any]) -> Sequence[Any]:
    """The documents of `wanted`: filter, projection, and where wanted sort and limit."""
    began = time.perf_counter()
    documents = _by_command(connection, table, wanted)
    if documents is None:
        documents = _by_cursor(connection, table, wanted)
    if connection.queries_logged:
        # The backend's own log knows no such commands.
        took = time.perf_counter() - began
        connection.queries_log.append({"sql": f"db.{table}.find({wanted})", "time": f"{took:.3f}"})
    return documents


def plain(match: dict[str, Any]) -> dict[str, Any]:
    """The same question; MongoDB takes its shortest way to a key that is not wrapped in `$eq`."""
    key = match.get("_id")
    return match | {"_id": key["$eq"]} if isinstance(key, dict) and set(key) == {"$eq"} else match


def _by_command(connection: Any, table: str, wanted: dict[str, Any]) -> Sequence[Any] | None:
    """None when there are more than fit into one answer, or the server was lost: a cursor asks once more."""
    database = connection.database
    command: dict[str, Any] = {"find": table, **wanted, "batchSize": MOST}
    if level := database.read_concern.level:
        command["readConcern"] = {"level": level}
    with suppress(ConnectionFailure):
        reply = database.command(command, codec_options=database.codec_options, session=connection.session)
        cursor: dict[str, Any] = reply["cursor"]
        return None if cursor["id"] else cursor["firstBatch"]
    return None


def _by_cursor(connection: Any, table: str, wanted: dict[str, Any]) -> Sequence[Any]:
    order = list(wanted["sort"].items()) if "sort" in wanted else None
    more = {"sort": order, "limit": wanted.get("limit", 0), "session": connection.session}
    return list(connection.database[table].find(wanted["filter"], wanted["projection"], **more))
