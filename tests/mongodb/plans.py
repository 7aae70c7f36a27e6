"""Which index MongoDB chose: for checks that a hot query neither scans nor sorts in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

# What a hot query's plan must not hold.
SLOW = frozenset({"SORT", "COLLSCAN", "$sort", "$lookup"})


def plan_of(query: QuerySet[Any, Any]) -> set[str]:
    """Every stage of the winning plan, an index scan with its index: {"FETCH", "IXSCAN:piece_work"}."""
    explained = json.loads(query.explain(verbosity="queryPlanner"))
    return set(_stages(explained.get("queryPlanner", explained.get("stages"))))


def _stages(plan: Any) -> Iterator[str]:
    if isinstance(plan, dict):
        if "stage" in plan:
            yield plan["stage"] + (f":{plan['indexName']}" if "indexName" in plan else "")
        for key, part in plan.items():
            # A stage that the pipeline does itself, after and without the index.
            if key in SLOW:
                yield key
            if key != "rejectedPlans":
                yield from _stages(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from _stages(part)
