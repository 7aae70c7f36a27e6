"""Pages of a list: limit and offset, with a total that is counted only as far as counting is cheap."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

COUNTED = 10_000


def bounded_count(rows: "QuerySet[Any]") -> int:
    """How many rows there are, but COUNTED + 1 when there are more."""
    return rows.order_by()[: COUNTED + 1].count()


class Pages(LimitOffsetPagination):
    """`{"items": [...], "pagination": {limit, offset, next, previous, total, total_is_exact}}`."""

    default_limit = 50
    max_limit = 500
    largest_offset = 2**31 - 1

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:  # noqa: ARG002
        """The rows of the page that the request asks for."""
        self.request = request
        self.limit: int = self._number("limit", self.default_limit, low=1, high=self.max_limit)
        self.offset: int = self._number("offset", 0, low=0, high=self.largest_offset)
        # One row more than the page has tells whether there is a next one, however many follow.
        rows = list(queryset[self.offset : self.offset + self.limit + 1])
        self.has_next = len(rows) > self.limit
        self.count: int = bounded_count(queryset)
        return rows[: self.limit]

    def _number(self, name: str, default: int, *, low: int, high: int) -> int:
        text = self.request.query_params.get(name) if self.request else None
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and low <= int(text) <= high):
            raise ValidationError({name: f"{text!r} is not a whole number from {low} to {high}."})
        return int(text)

    def get_next_link(self) -> str | None:
        """The address of the next page; None when this is the last."""
        if not self.has_next or self.request is None:
            return None
        address = replace_query_param(self.request.build_absolute_uri(), "limit", self.limit)
        return replace_query_param(address, "offset", self.offset + self.limit)

    def get_paginated_response(self, data: Any) -> Response:
        """The page and where it stands in the list."""
        pagination = {
            "limit": self.limit,
            "offset": self.offset,
            "next": self.get_next_link(),
            "previous": self.get_previous_link(),
            "total": min(self.count, COUNTED),
            "total_is_exact": self.count <= COUNTED,
        }
        return Response({"items": data, "pagination": pagination})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The same for the OpenAPI document."""
        link = {"type": ["string", "null"], "format": "uri"}
        whole = {"type": "integer", "minimum": 0}
        exact = {"type": "boolean", "description": f"False: there are more than {COUNTED}."}
        fields = {"limit": whole, "offset": whole, "next": link, "previous": link, "total": whole}
        fields |= {"total_is_exact": exact}
        pagination = {"type": "object", "required": list(fields), "properties": fields}
        return {
            "type": "object",
            "required": ["items", "pagination"],
            "properties": {"items": schema, "pagination": pagination},
        }
