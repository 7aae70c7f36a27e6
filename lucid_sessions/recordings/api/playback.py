"""Playing a session: the HLS playlist and its segments, verified and decrypted on the fly."""

from typing import Any
from uuid import UUID

import structlog
from django.http import HttpResponse, JsonResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from lucid_sessions.errors import Refused

from .. import playback
from ..lifecycle import ARCHIVED
from ..models import Chunk
from . import ranges
from .documents import ONE_SESSION_ERRORS, Described, problem
from .ownership import chunk_of, session_of
from .permissions import Allowed
from .problems import MEDIA_TYPE, NO_SUCH_RANGE, SEALED, document, refused_as

log = structlog.get_logger(__name__)

PLAYLIST, MEDIA = "application/vnd.apple.mpegurl", "video/mp4"
# Decrypted recordings stay out of every cache on the way and on disk.
UNCACHED = "private, no-store"
PLAYABLE = ("screen", "audio")


class Whatever(DefaultContentNegotiation):
    """Answers are media and problems are JSON, whatever a player says that it accepts."""

    def select_renderer(self, _request: Request, renderers: Any, _format_suffix: str | None = None) -> Any:
        """The JSON renderer: it is only ever used for problem documents."""
        return renderers[0], renderers[0].media_type


class Playback(ViewSet):
    """The way back to pictures, for those who may play."""

    permission_classes = [Allowed]
    schema = Described()
    content_negotiation_class = Whatever
    renderer_classes = [JSONRenderer]
    needs = {"playlist": "play", "segment": "play"}

    @extend_schema(
        responses={
            (200, PLAYLIST): OpenApiTypes.STR,
            (409, MEDIA_TYPE): problem("LUCID_ERR_3009: nothing is archived yet, or it was shredded."),
            **ONE_SESSION_ERRORS,
        }
    )
    def playlist(self, request: Request, session_id: UUID) -> HttpResponse:
        """Play a session: an HLS playlist. A jump in time is a discontinuity; a live one has no end."""
        session = session_of(request.user, session_id)
        with refused_as(SEALED):
            text = playback.playlist(session, address=_address)
        log.info("played", session=str(session.pk), user=str(request.user.pk))
        return HttpResponse(text, content_type=PLAYLIST, headers={"Cache-Control": UNCACHED})

    @extend_schema(
        parameters=[OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range.")],
        responses={
            (200, MEDIA): OpenApiTypes.BINARY,
            (206, MEDIA): OpenApiTypes.BINARY,
            (409, MEDIA_TYPE): problem("LUCID_ERR_3009: not archived yet, or shredded."),
            (416, MEDIA_TYPE): problem("No byte of the range exists."),
            (500, MEDIA_TYPE): problem("LUCID_ERR_3009: the stored bytes are not what was sealed. An alarm."),
            **ONE_SESSION_ERRORS,
        },
    )
    def segment(self, request: Request, session_id: UUID, chunk_id: UUID) -> HttpResponse:
        """Get one segment's media, or a range of it. Nothing is sent that was not verified first."""
        chunk = chunk_of(session_of(request.user, session_id), chunk_id)
        with refused_as(SEALED):
            _check_playable(chunk)
            media = playback.segment(chunk)
        return _ranged(request, media, tag=f'"{chunk.raw_sha256}"')


def _address(chunk: Chunk) -> str:
    return reverse("api:segment", args=[chunk.session_id, chunk.pk])


def _check_playable(chunk: Chunk) -> None:
    if chunk.track not in PLAYABLE:
        raise Refused(
            f"Chunk {chunk} is no picture or sound: only tracks {' and '.join(PLAYABLE)} are played."
        )
    if chunk.state not in ARCHIVED:
        raise Refused(f"Chunk {chunk} is {chunk.state}: it can be played once it is stored.")


def _ranged(request: Request, media: bytes, *, tag: str) -> HttpResponse:
    """The media, or the one range of it that was asked for."""
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": UNCACHED}
    # With If-Range, a part is wanted only of these very bytes.
    asked = request.headers.get("Range") if request.headers.get("If-Range", tag) == tag else None
    try:
        part = ranges.wanted(asked, length=len(media))
    except ranges.Unsatisfiable:
        body = document(request._request, NO_SUCH_RANGE, f"There are {len(media)} bytes; none of {asked}.")
        headers["Content-Range"] = f"bytes */{len(media)}"
        return JsonResponse(body, status=416, headers=headers, content_type=MEDIA_TYPE)
    if part is None:
        return HttpResponse(media, content_type=MEDIA, headers=headers)
    begin, end = part
    headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(media)}"
    return HttpResponse(media[begin:end], status=206, content_type=MEDIA, headers=headers)
