"""A session at a glance: which small pictures there are, how much happened, and the pictures themselves."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from lucid_sessions.errors import Refused

from .. import playback
from ..filmstrip import Frame, filmstrip
from ..lifecycle import ENDED
from ..models import Chunk, Session
from ..tombstones import GONE
from . import ranges
from .documents import CONFIGURATION_ERRORS, ONE_SESSION_ERRORS, Described, problem
from .ownership import chunk_of, session_of
from .permissions import Allowed
from .problems import MEDIA_TYPE, SEALED, refused_as
from .ranges import Whatever
from .strict import Digits, asked
from .witnessed import Witnessed

PICTURE = "image/webp"
TRACK = "thumb"
LATEST_US = 2**62


class Wanted(serializers.Serializer[Any]):
    """Which part of the session, and how finely."""

    most = Digits(
        min_value=1, max_value=1000, default=120, help_text="At most so many frames; each stands for more."
    )
    from_us = Digits(min_value=0, max_value=LATEST_US, required=False)
    to_us = Digits(min_value=0, max_value=LATEST_US, required=False)


class FrameBody(serializers.Serializer[Any]):
    """A stretch of the session and what happened in it. Times are microseconds of the timeline."""

    from_us = serializers.IntegerField()
    to_us = serializers.IntegerField()
    segments = serializers.IntegerField(help_text="How many segments it stands for.")
    pictures = serializers.IntegerField(help_text="Pictures that the recorder took in it.")
    changed = serializers.FloatField(
        allow_null=True, help_text="Which part of the screen each picture changed, added up; 1: all of it."
    )
    pressed = serializers.IntegerField(
        allow_null=True, help_text="How often a key or button was pressed; null without an input track."
    )
    poster = serializers.CharField(
        allow_null=True, help_text="Address of a WebP of how it begins; null while none is archived."
    )


class FilmstripBody(serializers.Serializer[Any]):
    """The frames in the order of time."""

    session = serializers.UUIDField()
    growing = serializers.BooleanField(help_text="True while more may come.")
    frames = FrameBody(many=True)


class Filmstrip(Witnessed, ViewSet):
    """Small pictures of a session, for those who may play it."""

    permission_classes = [Allowed]
    schema = Described()
    needs = {"index": "play"}
    rates = {"index": "status"}
    deeds = {"index": "session.played"}

    @extend_schema(
        parameters=[Wanted],
        responses={200: FilmstripBody, **CONFIGURATION_ERRORS, **ONE_SESSION_ERRORS},
    )
    def index(self, request: Request, session_id: UUID) -> Response:
        """List small pictures of a session with how much of the screen changed and how often was pressed."""
        session = session_of(request.user, session_id)
        part = asked(Wanted, request.query_params)
        frames = [_body(session, frame) for frame in filmstrip(session, **part)]
        growing = session.status not in (*ENDED, *GONE)
        return Response(FilmstripBody({"session": session.pk, "growing": growing, "frames": frames}).data)


class Posters(Witnessed, ViewSet):
    """The small pictures themselves."""

    permission_classes = [Allowed]
    schema = Described()
    content_negotiation_class = Whatever
    renderer_classes = [JSONRenderer]
    needs = {"poster": "play"}
    rates = {"poster": "chunks"}
    deeds = {"poster": "session.played"}

    @extend_schema(
        responses={
            (200, PICTURE): OpenApiTypes.BINARY,
            (409, MEDIA_TYPE): problem("LUCID_ERR_3009: not anchored yet, or shredded."),
            (500, MEDIA_TYPE): problem("LUCID_ERR_3009: the stored bytes are not what was sealed. An alarm."),
            **ONE_SESSION_ERRORS,
        }
    )
    def poster(self, request: Request, session_id: UUID, chunk_id: UUID) -> HttpResponse:
        """Get the small picture of how one segment begins. Nothing is sent that was not verified first."""
        session = session_of(request.user, session_id)
        chunk = chunk_of(session, chunk_id)
        with refused_as(SEALED):
            playback.must_be_kept(session)
            _require_picture(chunk)
            picture = playback.segment(chunk)
        return HttpResponse(picture, content_type=PICTURE, headers={"Cache-Control": ranges.UNCACHED})


def _body(session: Session, frame: Frame) -> dict[str, Any]:
    address = frame.poster and reverse("api:poster", args=[session.pk, frame.poster])
    return asdict(frame) | {"poster": address}


def _require_picture(chunk: Chunk) -> None:
    if chunk.track != TRACK:
        raise Refused(f"Chunk {chunk} is no small picture: only those of track {TRACK} are.")
    playback.must_be_anchored(chunk)
