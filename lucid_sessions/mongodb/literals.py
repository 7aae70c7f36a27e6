"""Values of look-ups stay values where MongoDB computes.

In a computed comparison (a filter on an annotation, `Count(filter=...)`, `Case`, a JSON key with a dot)
upstream sends the value as it is, and MongoDB reads "$password" as a field and {"$function": ...} as code
to run. Here each goes as {"$literal": value}. The rest of a look-up is upstream's.
"""

from __future__ import annotations

from typing import Any

from django_mongodb_backend import lookups, query_utils
from django_mongodb_backend.fields import json as json_fields

_stock_process_rhs = query_utils.process_rhs


def process_rhs(node: Any, compiler: Any, connection: Any, as_expr: bool = False) -> Any:
    """The right-hand side of a look-up as MongoDB takes it."""
    value = _stock_process_rhs(node, compiler, connection, as_expr=as_expr)
    if not as_expr or hasattr(node.rhs, "as_mql"):
        return value
    if node.lookup_name in {"in", "range"}:
        # A list with an expression among its members is an expression itself, and went above.
        return [_literal(member) for member in value]
    return _literal(value)


def _literal(value: Any) -> Any:
    return {"$literal": value} if isinstance(value, str | dict | list | tuple) else value


def install() -> None:
    """Make upstream's look-ups use process_rhs above; there is no hook of upstream's own for it."""
    lookups.process_rhs = process_rhs
    json_fields.process_rhs = process_rhs
