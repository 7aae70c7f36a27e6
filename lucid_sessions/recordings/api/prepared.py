"""Queries that are asked all the time: compiled by the ORM once, then asked again with other values.

For one row by its key the ORM takes several times as long to say what it wants as the database to find it.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import QuerySet

Row = tuple[Any, ...]
Ask = Callable[[list[Any]], Sequence[Any]]


class Prepared:
    """The rows of `build(*ids)`, a queryset of `values_list` columns, for whichever ids."""

    def __init__(self, build: Callable[..., "QuerySet[Any, Any]"], *, ids: int) -> None:
        """`build` is called once, with `ids` ids that stand in for those to come."""
        self._build = build
        self._ids = ids
        self._ask: Ask | None = None
        self._count: Ask | None = None
        self._converters: dict[int, Any] = {}

    def rows(self, *ids: UUID) -> list[Row]:
        """The rows, asked for now; a database's failure is Django's."""
        rows = self.rows_as_kept(*ids)
        return [self.converted(row) for row in rows] if self._converters else rows

    def rows_as_kept(self, *ids: UUID) -> list[Row]:
        """The same, of values as the database keeps them.

        Making 20 ids and times of 20 texts costs as much as asking for them.
        """
        if self._ask is None:
            # Converters first: another thread that sees `_ask` goes on at once.
            self._converters, self._ask = self._compiled(_on_mongodb if _is_mongodb() else _on_sql)
        return [tuple(row) for row in self._ask([_kept(one) for one in ids])]

    def count(self, *ids: UUID) -> int:
        """How many rows there are, counted where they are."""
        if self._count is None:
            self._count = self._compiled(_count_on_mongodb if _is_mongodb() else _count_on_sql)[1]
        return sum(number for (number,) in self._count([_kept(one) for one in ids]))

    def converted(self, row: Row) -> Row:
        """The row with Django's values instead of the database's."""
        values = list(row)
        for place, (converters, expression) in self._converters.items():
            for convert in converters:
                values[place] = convert(values[place], expression, connection)
        return tuple(values)

    def _compiled(self, compile_: Callable[..., tuple[Ask, list[Any]]]) -> tuple[dict[int, Any], Ask]:
        marks = [uuid4() for _ in range(self._ids)]
        compiler = self._build(*marks).query.get_compiler(DEFAULT_DB_ALIAS)
        ask, columns = compile_(compiler, [_kept(mark) for mark in marks])
        return compiler.get_converters(columns), ask


def _is_mongodb() -> bool:
    return connection.vendor == "mongodb"


def _kept(one: UUID) -> Any:
    return one if connection.features.has_native_uuid_field else one.hex


def _on_sql(compiler: Any, marks: list[Any]) -> tuple[Ask, list[Any]]:
    sql, constants = compiler.as_sql()
    return _asking(sql, constants, marks), [column for column, *_ in compiler.select]


def _count_on_sql(compiler: Any, marks: list[Any]) -> tuple[Ask, list[Any]]:
    sql, constants = compiler.as_sql()
    # The text is the ORM's own; what is asked for goes beside it.
    counted = f"SELECT COUNT(*) FROM ({sql}) AS counted"  # noqa: S608  # nosec B608
    return _asking(counted, constants, marks), []


def _asking(sql: str, constants: Any, marks: list[Any]) -> Ask:
    def ask(ids: list[Any]) -> Sequence[Any]:
        with connection.cursor() as cursor:
            cursor.execute(sql, _filled(constants, marks, ids))
            return cursor.fetchall()

    return ask


def _on_mongodb(compiler: Any, marks: list[Any]) -> tuple[Ask, list[Any]]:
    # Where SQLite is all there is, the driver is not installed.
    from lucid_sessions.mongodb import finding
    from lucid_sessions.mongodb.failures import readable

    stages, columns = _stages(compiler)
    table, order = compiler.query.get_meta().db_table, stages.get("$sort", {})
    wanted = {"sort": order} if order else {}
    wanted |= {"limit": stages["$limit"]} if "$limit" in stages else {}
    match, projection = finding.plain(stages.get("$match", {})), stages["$project"]
    names = [name for name, _ in columns]

    @readable
    def ask(ids: list[Any]) -> Sequence[Any]:
        given = _filled(match, marks, ids)
        found = finding.found(connection, table, {"filter": given, "projection": projection, **wanted})
        # Nothing is joined, so each document has its columns itself.
        return [[one.get(name) for name in names] for one in found]

    return ask, [column for _, column in columns]


def _count_on_mongodb(compiler: Any, marks: list[Any]) -> tuple[Ask, list[Any]]:
    from lucid_sessions.mongodb.failures import readable

    mongodb: Any = connection
    stages, _ = _stages(compiler)
    table = compiler.query.get_meta().db_table
    pipeline: list[Any] = [{name: stages[name]} for name in ("$match", "$limit") if name in stages]
    pipeline.append({"$count": "n"})

    @readable
    def ask(ids: list[Any]) -> Sequence[Any]:
        wanted = _filled(pipeline, marks, ids)
        rows = mongodb.get_collection(table).aggregate(wanted, session=mongodb.session)
        return [(one["n"],) for one in rows]

    return ask, []


def _stages(compiler: Any) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """What MongoDB is to do, by stage, and the columns that come of it."""
    compiler.pre_sql_setup()
    columns = tuple(compiler.columns)
    pipeline = compiler.build_query(columns).get_pipeline()
    stages = {name: what for stage in pipeline for name, what in stage.items()}
    unknown = set(stages) - {"$match", "$sort", "$limit", "$project"}
    if unknown:
        raise NotImplementedError(f"{unknown} cannot be prepared")
    return stages, columns


def _filled(what: Any, marks: list[Any], ids: list[Any]) -> Any:
    """The same, with the ids where their marks were."""
    if isinstance(what, dict):
        return {name: _filled(one, marks, ids) for name, one in what.items()}
    if isinstance(what, list | tuple):
        return [_filled(one, marks, ids) for one in what]
    return ids[marks.index(what)] if what in marks else what
