"""The ledger over HTTP, to read and to check; and what proves a session or a chunk by it."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse, QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from .. import proofs
from ..installation import installation
from ..proven import ProvenLog
from .documents import COMMON, ONE_SESSION_ERRORS, Described, problem
from .ownership import chunk_of, session_of
from .permissions import Allowed
from .problems import INVALID, MEDIA_TYPE, NO_SUCH_THING, NOT_READY, Problem, refused_as
from .strict import are_digits, only
from .witnessed import Witnessed

NOT_PROVEN = {(409, MEDIA_TYPE): problem("LUCID_ERR_3012: no checkpoint covers it yet.")}
NO_SIZES = {(404, MEDIA_TYPE): problem("LUCID_ERR_1012: the log has not been of these sizes, in this order.")}
# What fits in it is asked of the log; nothing larger is read.
LARGEST = 10**15 - 1
SIZE = {"type": "integer", "minimum": 1, "maximum": LARGEST}
NO_RECORD = {(404, MEDIA_TYPE): problem("LUCID_ERR_1012: the log has no such record.")}


class RecordBody(serializers.Serializer[Any]):
    """A record and its inclusion proof."""

    index = serializers.IntegerField()
    entry = serializers.CharField(help_text="The record's bytes as text; its leaf is SHA-256(0x00 || entry).")
    proof = serializers.ListField(child=serializers.CharField(), help_text="RFC 6962 path, hexadecimal.")


class LedgerRecordBody(RecordBody):
    """A record, proven by the checkpoint beside it."""

    checkpoint = serializers.CharField(help_text="C2SP signed note.")
    log_key = serializers.CharField(help_text="Compare it with the one that you were given another way.")


class SessionProofBody(serializers.Serializer[Any]):
    """The newest seal of a session."""

    session = serializers.UUIDField()
    repository = serializers.CharField()
    log_key = serializers.CharField(help_text="Compare it with the one that you were given another way.")
    checkpoint = serializers.CharField(help_text="C2SP signed note.")
    seal: Any = RecordBody()
    body = serializers.CharField(help_text="JSON text that the seal names by SHA-256: leaves, gaps, missing.")


class ChunkProofBody(serializers.Serializer[Any]):
    """From a stored blob to the signed checkpoint."""

    repository = serializers.CharField()
    log_key = serializers.CharField()
    checkpoint = serializers.CharField()
    leaf = serializers.DictField(help_text="Session, track, sequence, blob (SHA-256) and length.")
    leaf_hash = serializers.CharField()
    batch_index = serializers.IntegerField()
    batch_size = serializers.IntegerField()
    batch_proof = serializers.ListField(child=serializers.CharField())
    batch: Any = RecordBody()


class ConsistencyBody(serializers.Serializer[Any]):
    """That the log's first records are what they were."""

    old = serializers.IntegerField()
    new = serializers.IntegerField()
    proof = serializers.ListField(child=serializers.CharField())
    checkpoint = serializers.CharField()


class Ledger(Witnessed, ViewSet):
    """Read-only: only the sealer writes."""

    permission_classes = [Allowed]
    schema = Described()
    needs = dict.fromkeys(("checkpoint", "record", "consistency", "session", "chunk"), "view")
    rates = dict.fromkeys(("checkpoint", "record", "consistency", "session", "chunk"), "chunks")
    deeds = {
        "session": "session.proof",
        "chunk": "chunk.proof",
        **dict.fromkeys(("checkpoint", "record", "consistency"), "ledger.read"),
    }

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR, **COMMON, **NO_RECORD})
    def checkpoint(self, _request: Request) -> HttpResponse:
        """Get the newest checkpoint: the log's size and root, signed (C2SP signed note)."""
        text = installation().log().checkpoint_text()
        if text is None:
            raise Problem(NO_SUCH_THING, "The log has no checkpoint yet: nothing was recorded.")
        return HttpResponse(text, content_type="text/plain; charset=utf-8")

    @extend_schema(responses={200: LedgerRecordBody, **COMMON, **NO_RECORD})
    def record(self, _request: Request, index: int) -> Response:
        """Get one record with the proof that it is in the log."""
        world = installation()
        log = ProvenLog(world)
        with refused_as(NO_SUCH_THING):
            facts = proofs.record_proof(log, index)
        return Response({**facts, "checkpoint": log.note, "log_key": world.keys.log_vkey})

    @extend_schema(
        parameters=[
            OpenApiParameter("old", SIZE, required=True, description="The size that you know."),
            OpenApiParameter("new", SIZE, description="A later size; the checkpoint's without it."),
        ],
        responses={200: ConsistencyBody, **NO_SIZES, **COMMON},
    )
    def consistency(self, request: Request) -> Response:
        """Get the proof that the log has only grown since an earlier size."""
        asked = only(("old", "new"), request.query_params)
        text, tree = installation().log().published()
        old = _size(asked, "old", None)
        new = _size(asked, "new", tree.size)
        if not old <= new <= tree.size:
            raise Problem(NO_SUCH_THING, f"old, new: old <= new <= {tree.size} is needed.")
        proof = [one.hex() for one in tree.consistency_proof(old, new)]
        return Response({"old": old, "new": new, "proof": proof, "checkpoint": text})

    @extend_schema(
        operation_id="sessions_proof", responses={200: SessionProofBody, **ONE_SESSION_ERRORS, **NOT_PROVEN}
    )
    def session(self, request: Request, session_id: UUID) -> Response:
        """Get what proves a session complete and unchanged: its seal, in the signed log."""
        session = session_of(request.user, session_id)
        with refused_as(NOT_READY):
            return Response(proofs.of_session(session, world=installation()))

    @extend_schema(
        operation_id="chunks_proof", responses={200: ChunkProofBody, **ONE_SESSION_ERRORS, **NOT_PROVEN}
    )
    def chunk(self, request: Request, session_id: UUID, chunk_id: UUID) -> Response:
        """Get what proves one stored blob: hash it, and follow the paths to the checkpoint."""
        chunk = chunk_of(session_of(request.user, session_id), chunk_id)
        with refused_as(NOT_READY):
            return Response(proofs.of_chunk(chunk, world=installation()))


def _size(asked: QueryDict, name: str, default: int | None) -> int:
    text = asked.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (are_digits(text) and 1 <= int(text) <= LARGEST):
        raise Problem(INVALID, f"{name}: a whole number from 1 is needed.")
    return int(text)
