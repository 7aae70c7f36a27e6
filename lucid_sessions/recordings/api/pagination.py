"""Pages of a list: by offset, or by cursor in deep lists; totals are counted only as far as that is cheap."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.encoding import iri_to_uri
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request

from lucid_sessions.access.memory import Memory

from . import cursors
from .rendering import answer, answer_text, json_text
from .strict import are_digits, only

COUNTED = 10_000
LONG = 1_000
PAGING = frozenset({"limit", "offset", "cursor"})
_long: Memory[int] = Memory()


def bounded_count(rows: "QuerySet[Any]") -> int:
    """How many rows there are, but COUNTED + 1 when there are more."""
    return rows.order_by()[: COUNTED + 1].count()


class Pages(LimitOffsetPagination):
    """`{"items": [...], "pagination": {limit, offset, next, previous, next_cursor, total, total_is_exact}}`.

    A view may offer `estimated_total()`, and `bounded_total()` as a shorter way to the bounded count; both
    answer None where they cannot tell.
    """

    default_limit = 50
    max_limit = 500
    largest_offset = 2**31 - 1

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page that the request asks for."""
        self._read(request, view)
        self.ordering = cursors.ordering_of(queryset)
        rows: list[Any] = []
        for part in self._following(queryset):
            # One row more than the page has tells whether there is a next one, however many follow.
            rows += part[: self.limit + 1 - len(rows)]
            if len(rows) > self.limit:
                break
        return self._page(rows, view, of=lambda: queryset)

    def first_page(
        self, request: Request, view: Any, *, first: Callable[[int], list[Any]], of: Callable[[], Any]
    ) -> list[Any] | None:
        """The same by a shorter way: `first` gives so many rows of the list in the order of `view.ordering`.

        `of` is the list as a queryset, to be counted. None: it is another page that is asked for.
        """
        self._read(request, view)
        if self.offset or self.cursor:
            return None
        self.ordering = view.ordering
        return self._page(first(self.limit + 1), view, of=of)

    def _read(self, request: Request, view: Any) -> None:
        self.request = request
        filters = getattr(getattr(view, "filterset_class", None), "base_filters", {})
        only([*filters, *sorted(PAGING)], request.query_params)
        self.limit: int = self._number("limit", self.default_limit, low=1, high=self.max_limit)
        self.offset: int = self._number("offset", 0, low=0, high=self.largest_offset)
        self.cursor: str | None = request.query_params.get("cursor")
        if self.cursor is not None:
            self.offset = 0

    def _page(self, rows: list[Any], view: Any, *, of: Callable[[], Any]) -> list[Any]:
        self.last = rows[self.limit - 1] if len(rows) > self.limit else None
        self._count(of, view, rows)
        return rows[: self.limit]

    def _following(self, rows: Any) -> list[Any]:
        if self.cursor is None:
            return [rows[self.offset :]]
        return cursors.behind(rows, self.cursor, of=self._list)

    def _count(self, of: Callable[[], Any], view: Any, rows: list[Any]) -> None:
        whole = self.last is None and not self.offset and not self.cursor
        estimate = None if whole else getattr(view, "estimated_total", lambda: None)()
        if estimate is not None and estimate > COUNTED:
            self.count, self.exact = estimate, False
            return
        self.count = len(rows) if whole else self._counted(of, view)
        self.exact = self.count <= COUNTED
        if not self.exact:
            self.count = max(COUNTED, estimate or 0)

    def _counted(self, of: Callable[[], Any], view: Any) -> int:
        """The bounded count. That of a long list is believed for some seconds: it costs more than a page."""
        request: Any = self.request
        known = getattr(view, "count_key", lambda: None)()
        if known is None:
            return self._bounded(of, view)
        query = sorted((k, v) for k, v in request.query_params.items() if k not in PAGING)
        key = (known, request.path, tuple(query))
        count = _long.recall(key)
        if count is None:
            count = self._bounded(of, view)
            if count >= LONG:
                _long.note(key, count)
        return count

    def _bounded(self, of: Callable[[], Any], view: Any) -> int:
        count: int | None = getattr(view, "bounded_total", lambda: None)()
        return bounded_count(of()) if count is None else count

    def _number(self, name: str, default: int, *, low: int, high: int) -> int:
        request: Any = self.request
        text = request.query_params.get(name)
        if text is None:
            return default
        if not (are_digits(text) and low <= int(text) <= high):
            raise ValidationError({name: f"{text!r} is not a whole number from {low} to {high}."})
        return int(text)

    def get_next_link(self) -> str | None:
        """The address of the next page; None when this is the last."""
        if self.last is None or self.request is None:
            return None
        place = {"limit": self.limit}
        if self.cursor is not None:
            return self._address(place | {"cursor": self.next_cursor})
        return self._address(place | {"offset": self.offset + self.limit})

    @property
    def _list(self) -> str:
        request: Any = self.request
        path: str = request.path
        return path

    @property
    def next_cursor(self) -> str | None:
        """Where the next page begins; None when this is the last."""
        return cursors.write(self.last, self.ordering, of=self._list) if self.last is not None else None

    def get_previous_link(self) -> str | None:
        """The address of the page before; a cursor leads on only."""
        if self.cursor is not None or not self.offset:
            return None
        return self._address({"limit": self.limit, "offset": max(0, self.offset - self.limit)})

    def _address(self, place: dict[str, Any]) -> str:
        request: Any = self.request
        query = urlencode(dict(request.query_params.lists()) | place, doseq=True)
        return f"{request.scheme}://{request.get_host()}{iri_to_uri(request.path)}?{query}"

    def get_paginated_response(self, data: Any) -> HttpResponse:  # type: ignore[override]
        """The page and where it stands in the list."""
        return answer({"items": data, "pagination": self.place()})

    def of_texts(self, texts: list[str]) -> HttpResponse:
        """The same, of items that are JSON already."""
        return answer_text(f'{{"items":[{",".join(texts)}],"pagination":{json_text(self.place())}}}')

    def place(self) -> dict[str, Any]:
        """Where the page stands in the list."""
        return {
            "limit": self.limit,
            "offset": self.offset,
            "next": self.get_next_link(),
            "previous": self.get_previous_link(),
            "next_cursor": self.next_cursor,
            "total": self.count,
            "total_is_exact": self.exact,
        }

    def get_schema_operation_parameters(self, _view: Any) -> list[dict[str, Any]]:
        """The query's parameters for the OpenAPI document."""
        bounds = {"minimum": 1, "maximum": self.max_limit, "default": self.default_limit}
        offset = {"minimum": 0, "maximum": self.largest_offset, "default": 0}
        words = {
            "limit": ("How many a page has at most.", {"type": "integer", **bounds}),
            "offset": ("How many to pass over; a cursor goes before it.", {"type": "integer", **offset}),
            "cursor": (
                "For deep lists: empty for the first page, then `next_cursor` of the last.",
                {"type": "string"},
            ),
        }
        return [
            {"name": name, "required": False, "in": "query", "description": text, "schema": schema}
            for name, (text, schema) in words.items()
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The same for the OpenAPI document."""
        link, text = {"type": ["string", "null"], "format": "uri"}, {"type": ["string", "null"]}
        whole = {"type": "integer", "minimum": 0}
        exact = {"type": "boolean", "description": f"False: more than {COUNTED}; total is an estimate."}
        fields = {"limit": whole, "offset": whole, "next": link, "previous": link, "next_cursor": text}
        fields |= {"total": whole, "total_is_exact": exact}
        pagination = {"type": "object", "required": list(fields), "properties": fields}
        return {
            "type": "object",
            "required": ["items", "pagination"],
            "properties": {"items": schema, "pagination": pagination},
        }
