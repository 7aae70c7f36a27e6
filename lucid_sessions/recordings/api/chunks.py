"""A session's chunks over HTTP."""

from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from ..models import Chunk
from . import known, rendering
from .bodies import ChunkBody
from .documents import CONFIGURATION_ERRORS, ONE_SESSION_ERRORS, Described
from .filters import ChunkFilter
from .ownership import chunk_of, require_session, session_of
from .pagination import COUNTED, PAGING, Pages
from .permissions import Allowed
from .witnessed import Witnessed


class Chunks(Witnessed, GenericViewSet[Chunk]):
    """The chunks of one session, in the order of tracks and sequence numbers."""

    serializer_class = ChunkBody
    filterset_class = ChunkFilter
    pagination_class = Pages
    permission_classes = [Allowed]
    schema = Described()
    queryset = Chunk.objects.all()
    ordering = ("track", "sequence")
    needs = {"list": "view", "retrieve": "view"}
    rates = {"list": "chunks", "retrieve": "chunks"}
    deeds = {"list": "chunks.listed", "retrieve": "chunk.viewed"}

    def get_queryset(self) -> QuerySet[Chunk]:
        """The chunks of the session; whether the caller may see it has been asked by then."""
        return Chunk.objects.filter(session=self.kwargs["session_id"]).order_by(*self.ordering)

    def count_key(self) -> object:
        """The list is the same for all who see the session, which has been looked up by now."""
        return "chunks"

    def estimated_total(self) -> int | None:
        """What the closed takes hold together; only for a list that is not filtered."""
        if not PAGING.issuperset(self.request.query_params):
            return None
        return known.closed_with(self.kwargs["session_id"])

    def bounded_total(self) -> int | None:
        """How many there are, as far as that is counted; only for a list that is not filtered."""
        if not PAGING.issuperset(self.request.query_params):
            return None
        return known.count_of_chunks(self.kwargs["session_id"], most=COUNTED + 1)

    @extend_schema(responses={200: ChunkBody(many=True), **CONFIGURATION_ERRORS, **ONE_SESSION_ERRORS})
    def list(self, request: Request, session_id: UUID) -> HttpResponse:
        """List a session's chunks: how far each has got, and what holds it up."""
        require_session(request.user, session_id)
        paginator: Any = self.paginator
        page: Any = None
        if PAGING.issuperset(request.query_params):  # there is nothing to filter by
            first = partial(known.first_chunks, session_id)
            page = paginator.first_page(request, self, first=first, of=self.get_queryset)
        if page is None:
            rows = self.filter_queryset(self.get_queryset())
            page = self.paginate_queryset(rendering.columns(rows, rendering.CHUNK_COLUMNS))
        return self.get_paginated_response([rendering.chunk_body(row) for row in page])

    @extend_schema(responses={200: ChunkBody, **ONE_SESSION_ERRORS})
    def retrieve(self, request: Request, session_id: UUID, chunk_id: UUID) -> HttpResponse:
        """Look at one chunk."""
        return rendering.answer(rendering.one_chunk(chunk_of(session_of(request.user, session_id), chunk_id)))
