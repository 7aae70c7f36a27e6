"""Files to keep: the stored blob as it is, and the media in it; resumable, named, in bounded memory."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO
from uuid import UUID

from django.http import HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from lucid_sessions.access.authentication import LinkAuthentication
from lucid_sessions.errors import Refused

from .. import playback
from ..installation import installation
from ..lifecycle import ARCHIVED
from ..models import Chunk
from . import ranges
from .documents import CONDITIONS, CONDITIONS_ERRORS, ONE_SESSION_ERRORS, Described, problem
from .ownership import chunk_of, session_of
from .permissions import Allowed
from .preconditions import nothing_new
from .problems import MEDIA_TYPE, SEALED, refused_as
from .ranges import UNCACHED, Whatever
from .witnessed import Witnessed

LINK_OR_TOKEN: Any = [LinkAuthentication, *APIView.authentication_classes]
BLOB = "application/octet-stream"
RANGE = OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range.")
LINK = OpenApiParameter("link", str, description="Instead of a token: from `/links`, good once.")
NOT_THERE = {
    (409, MEDIA_TYPE): problem("LUCID_ERR_3009: not archived yet (media: not anchored yet), or shredded."),
    (416, MEDIA_TYPE): problem("No byte of the range exists."),
    **CONDITIONS_ERRORS,
}
_ENDINGS = {"screen": "mp4", "audio": "mp4", "thumb": "webp"}


class Downloads(Witnessed, ViewSet):
    """What the archive holds, as files."""

    permission_classes = [Allowed]
    authentication_classes = LINK_OR_TOKEN
    schema = Described()
    content_negotiation_class = Whatever
    renderer_classes = [JSONRenderer]
    needs = {"blob": "export", "media": "export"}
    rates = {"blob": "chunks", "media": "chunks"}
    deeds = {"blob": "chunk.downloaded", "media": "chunk.exported"}

    @extend_schema(
        operation_id="chunks_download",
        parameters=[RANGE, *CONDITIONS, LINK],
        responses={
            (200, BLOB): OpenApiTypes.BINARY,
            (206, BLOB): OpenApiTypes.BINARY,
            **NOT_THERE,
            **ONE_SESSION_ERRORS,
        },
    )
    def blob(self, request: Request, session_id: UUID, chunk_id: UUID) -> HttpResponseBase:
        """Download the stored blob: encrypted, named by its SHA-256. `Link` leads to its proof."""
        chunk = _archived(request, session_id, chunk_id)
        store = installation().blobs
        answer = sent(
            request,
            store.open(chunk.blob),
            length=store.size(chunk.blob),
            tag=chunk.blob,
            name=f"{_stem(chunk)}.lsc",
        )
        proof = reverse("api:chunk-proof", args=[session_id, chunk_id])
        answer["Link"] = f'<{proof}>; rel="describedby"'
        return answer

    @extend_schema(
        operation_id="chunks_media",
        parameters=[RANGE, *CONDITIONS, LINK],
        responses={
            (200, BLOB): OpenApiTypes.BINARY,
            (206, BLOB): OpenApiTypes.BINARY,
            **NOT_THERE,
            (500, MEDIA_TYPE): problem("LUCID_ERR_3009: the stored bytes are not what was sealed. An alarm."),
            **ONE_SESSION_ERRORS,
        },
    )
    def media(self, request: Request, session_id: UUID, chunk_id: UUID) -> HttpResponseBase:
        """Download what was recorded, verified and decrypted."""
        chunk = _archived(request, session_id, chunk_id)
        with refused_as(SEALED):
            playback.must_be_anchored(chunk)
            content = playback.segment(chunk)
        name = f"{_stem(chunk)}.{_ENDINGS.get(chunk.track, 'jsonl')}"
        answer = ranges.answer(request, content, tag=f'"{chunk.raw_sha256}"', content_type=BLOB)
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


def _archived(request: Request, session_id: UUID, chunk_id: UUID) -> Chunk:
    session = session_of(request.user, session_id)
    chunk = chunk_of(session, chunk_id)
    with refused_as(SEALED):
        playback.must_be_kept(session)
        if chunk.state not in ARCHIVED:
            raise Refused(
                f"Chunk {chunk} is {chunk.state}: there is something to download once it is stored."
            )
    return chunk


def _stem(chunk: Chunk) -> str:
    return f"{chunk.session_id.hex}-{chunk.track}-{chunk.sequence:016x}"


def sent(
    request: Request, file: BinaryIO, *, length: int, tag: str, name: str, content_type: str = BLOB
) -> HttpResponseBase:
    """The file, or the range of it that was asked for, piece by piece; the file is closed at the end.

    304 when it is known, 412 when it is unwanted, 416 when it has nothing of the range.
    """
    headers = {
        "ETag": f'"{tag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": UNCACHED,
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    asked = ranges.asked(request, tag=f'"{tag}"')
    with ExitStack() as otherwise:
        otherwise.callback(file.close)
        if known := nothing_new(request, headers):
            return known
        try:
            part = ranges.wanted(asked, length=length)
        except ranges.Unsatisfiable:
            return ranges.unsatisfiable(request, asked, length=length, headers=headers)
        otherwise.pop_all()
    begin, end = part or (0, length)
    headers["Content-Length"] = str(end - begin)
    if part:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{length}"
    pieces = _pieces(file, begin, end)
    status = 206 if part else 200
    return StreamingHttpResponse(pieces, status=status, content_type=content_type, headers=headers)


def _pieces(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(begin)
        while begin < end:
            piece = file.read(min(ranges.PIECE, end - begin))
            if not piece:
                return
            begin += len(piece)
            yield piece
