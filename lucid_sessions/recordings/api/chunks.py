"""A session's chunks over HTTP."""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from ..models import Chunk, Closure
from . import rendering
from .bodies import ChunkBody
from .documents import CONFIGURATION_ERRORS, ONE_SESSION_ERRORS, Described
from .filters import ChunkFilter
from .ownership import chunk_of, session_of
from .pagination import PAGING, Pages
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
    needs = {"list": "view", "retrieve": "view"}
    rates = {"list": "chunks", "retrieve": "chunks"}
    deeds = {"list": "chunks.listed", "retrieve": "chunk.viewed"}

    def get_queryset(self) -> QuerySet[Chunk]:
        """The chunks of a session that the caller may see."""
        session = session_of(self.request.user, self.kwargs["session_id"])
        return Chunk.objects.filter(session=session.pk).order_by("track", "sequence")

    def count_key(self) -> object:
        """The list is the same for all who see the session, which has been looked up by now."""
        return "chunks"

    def estimated_total(self, rows: Any) -> int | None:
        """What the closed takes hold together; only for a list that is not filtered."""
        if rows.query.where != Chunk.objects.filter(Q(session=self.kwargs["session_id"])).query.where:
            return None
        closed = Closure.objects.filter(session=self.kwargs["session_id"])
        total: int | None = closed.aggregate(total=Sum("last_counter"))["total"]
        return total

    @extend_schema(responses={200: ChunkBody(many=True), **CONFIGURATION_ERRORS, **ONE_SESSION_ERRORS})
    def list(self, _request: Request, **_: UUID) -> HttpResponse:
        """List a session's chunks: how far each has got, and what holds it up."""
        chunks = self.get_queryset()
        if not PAGING.issuperset(self.request.query_params):
            chunks = self.filter_queryset(chunks)
        rows = rendering.columns(chunks, rendering.CHUNK_COLUMNS)
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response([rendering.chunk_body(row) for row in page])

    @extend_schema(responses={200: ChunkBody, **ONE_SESSION_ERRORS})
    def retrieve(self, request: Request, session_id: UUID, chunk_id: UUID) -> HttpResponse:
        """Look at one chunk."""
        return rendering.answer(rendering.one_chunk(chunk_of(session_of(request.user, session_id), chunk_id)))
