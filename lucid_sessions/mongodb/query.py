"""Sort first, then shape: what lets MongoDB answer ORDER BY ... LIMIT from an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django_mongodb_backend.query import MongoQuery

Pipeline = list[dict[str, Any]]


class SortedEarly(MongoQuery):
    """Upstream puts an $addFields or $project of every column before $sort, which then sorts all in memory.

    Where the result is the same, the order here is $match, $sort, joins, $skip, $limit, $project. Whatever
    is not plainly the same (groups, unions, subqueries, sorting by something computed) stays upstream's.
    """

    def get_pipeline(self) -> Pipeline:
        if not self._sorts_by_plain_columns() or self._matches_joined_documents():
            stock: Pipeline = super().get_pipeline()
            return stock
        pipeline: Pipeline = [{"$match": self.match_mql}] if self.match_mql else []
        pipeline.append({"$sort": self.ordering})
        pipeline += self.lookup_pipeline or []
        pipeline += self._slice()
        if self.project_fields:
            pipeline.append({"$project": self.project_fields})
        computed = {name: value for name, value in (self.extra_fields or {}).items() if value != f"${name}"}
        return [*pipeline, {"$addFields": computed}] if computed else pipeline

    def _sorts_by_plain_columns(self) -> bool:
        """Whether every sort key is a column of the collection itself and nothing reshapes it before."""
        reshaped = (
            self.aggregation_pipeline,
            self.combinator_pipeline,
            self.subqueries,
            self.search_pipeline,
            self.subquery_lookup,
        )
        if not self.ordering or any(reshaped) or not self.query.model:
            return False
        columns = {field.column for field in self.query.get_meta().concrete_fields}
        # An annotation of a column's name would be what is sorted by.
        return set(self.ordering) <= columns - set(self.query.annotation_select)

    def _matches_joined_documents(self) -> bool:
        joined = {stage["$lookup"]["as"] for stage in self.lookup_pipeline or [] if "$lookup" in stage}
        paths = _paths(self.match_mql) if joined else ()
        return any(path == "$expr" or path.split(".")[0] in joined for path in paths)

    def _slice(self) -> Pipeline:
        low, high = self.query.low_mark, self.query.high_mark
        skip: Pipeline = [{"$skip": low}] if low > 0 else []
        return skip if high is None else [*skip, {"$limit": high - low}]


def _paths(mql: Any) -> Iterator[str]:
    """Every field path that a $match names, and "$expr" where it computes."""
    if isinstance(mql, dict):
        for key, value in mql.items():
            if key == "$expr" or not key.startswith("$"):
                yield key
            yield from _paths(value)
    elif isinstance(mql, list | tuple):
        for value in mql:
            yield from _paths(value)
