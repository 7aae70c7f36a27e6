"""A session's chunks over HTTP."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from ..models import Chunk
from .bodies import ChunkBody
from .documents import CONFIGURATION_ERRORS, ONE_SESSION_ERRORS, Described
from .filters import ChunkFilter
from .ownership import chunk_of, session_of
from .pagination import Pages
from .permissions import Allowed


class Chunks(GenericViewSet[Chunk]):
    """The chunks of one session, in the order of tracks and sequence numbers."""

    serializer_class = ChunkBody
    filterset_class = ChunkFilter
    pagination_class = Pages
    permission_classes = [Allowed]
    schema = Described()
    queryset = Chunk.objects.all()
    needs = {"list": "view", "retrieve": "view"}

    def get_queryset(self) -> QuerySet[Chunk]:
        """The chunks of a session that the caller may see."""
        session = session_of(self.request.user, self.kwargs["session_id"])
        return Chunk.objects.filter(session=session.pk).order_by("track", "sequence")

    @extend_schema(responses={200: ChunkBody(many=True), **CONFIGURATION_ERRORS, **ONE_SESSION_ERRORS})
    def list(self, _request: Request, **_: UUID) -> Response:
        """List a session's chunks: how far each has got, and what holds it up."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(ChunkBody(page, many=True).data)

    @extend_schema(responses={200: ChunkBody, **ONE_SESSION_ERRORS})
    def retrieve(self, request: Request, session_id: UUID, chunk_id: UUID) -> Response:
        """Look at one chunk."""
        return Response(ChunkBody(chunk_of(session_of(request.user, session_id), chunk_id)).data)
