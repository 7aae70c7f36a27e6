"""Playing a session: the HLS playlist and its segments, verified and decrypted on the fly."""

from collections.abc import Callable
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from lucid_sessions.errors import Refused

from .. import playback, playlists, watching
from ..listing import Listed
from ..models import Chunk, Session
from . import ranges
from .documents import CONDITIONS, CONDITIONS_ERRORS, ONE_SESSION_ERRORS, Described, problem
from .ownership import chunk_of, session_of
from .permissions import Allowed
from .preconditions import nothing_new
from .problems import INVALID, MEDIA_TYPE, SEALED, Problem, refused_as
from .ranges import UNCACHED, Whatever
from .witnessed import Witnessed

PLAYLIST, MEDIA = "application/vnd.apple.mpegurl", "video/mp4"
PLAYABLE = ("screen", "audio")
NOBODY = UUID(int=0)


class Playback(Witnessed, ViewSet):
    """The way back to pictures, for those who may play."""

    permission_classes = [Allowed]
    schema = Described()
    content_negotiation_class = Whatever
    renderer_classes = [JSONRenderer]
    needs = {"playlist": "play", "segment": "play"}
    rates = {"playlist": "status", "segment": "chunks"}
    deeds = {"playlist": "session.played", "segment": "session.played"}

    @extend_schema(
        parameters=[
            OpenApiParameter("track", str, enum=PLAYABLE, description="That track's own playlist."),
            *CONDITIONS,
        ],
        responses={
            (200, PLAYLIST): OpenApiTypes.STR,
            **CONDITIONS_ERRORS,
            (400, MEDIA_TYPE): problem("LUCID_ERR_3002: no such track is played."),
            (409, MEDIA_TYPE): problem("LUCID_ERR_3009: nothing is archived yet, or it was shredded."),
            **ONE_SESSION_ERRORS,
        },
    )
    def playlist(self, request: Request, session_id: UUID) -> HttpResponse:
        """Play a session: an HLS playlist. A jump in time is a discontinuity; a live one has no end.

        What is in quarantine is a gap (EXT-X-GAP) with something to play behind it.
        With sound it is a multivariant playlist, which names one for each track.
        """
        session = session_of(request.user, session_id)
        watching.note(session)
        track = request.query_params.get("track")
        if track not in (None, *PLAYABLE):
            raise Problem(INVALID, f"track: {track!r} is not played: {' or '.join(PLAYABLE)}.")
        with refused_as(SEALED):
            playback.must_be_kept(session)
        headers = {"Cache-Control": UNCACHED, "ETag": f'"{playback.version_of(session)}"'}
        if known := nothing_new(request, headers):
            return known
        with refused_as(SEALED):
            text = _playlist(session, track)
        return HttpResponse(text, content_type=PLAYLIST, headers=headers)

    @extend_schema(
        parameters=[
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range."),
            *CONDITIONS,
        ],
        responses={
            (200, MEDIA): OpenApiTypes.BINARY,
            (206, MEDIA): OpenApiTypes.BINARY,
            (409, MEDIA_TYPE): problem("LUCID_ERR_3009: not anchored yet, or shredded."),
            (416, MEDIA_TYPE): problem("No byte of the range exists."),
            **CONDITIONS_ERRORS,
            (500, MEDIA_TYPE): problem("LUCID_ERR_3009: the stored bytes are not what was sealed. An alarm."),
            **ONE_SESSION_ERRORS,
        },
    )
    def segment(self, request: Request, session_id: UUID, chunk_id: UUID) -> HttpResponseBase:
        """Get one segment's media, or a range of it. Nothing is sent that was not verified first."""
        session = session_of(request.user, session_id)
        chunk = chunk_of(session, chunk_id)
        with refused_as(SEALED):
            playback.must_be_kept(session)
            _check_playable(chunk)
            media = playback.segment(chunk)
        return ranges.answer(request, media, tag=f'"{chunk.raw_sha256}"', content_type=MEDIA)


def _playlist(session: Session, track: str | None) -> str:
    """The playlist of one track; of none, the one to begin with."""
    if track == "audio":
        return playlists.sound(session, address=_addresses(session))
    if track is None and playlists.has_sound(session):
        here = reverse("api:playlist", args=[session.pk])
        return playlists.multivariant(session, address=lambda one: f"{here}?track={one}")
    return playback.playlist(session, address=_addresses(session))


def _addresses(session: Session) -> Callable[[Listed], str]:
    """Where a chunk's media are. Reversed once: there are thousands in a long session's playlist."""
    before, _, behind = reverse("api:segment", args=[session.pk, NOBODY]).rpartition(str(NOBODY))
    return lambda chunk: f"{before}{chunk.pk}{behind}"


def _check_playable(chunk: Chunk) -> None:
    if chunk.track not in PLAYABLE:
        raise Refused(
            f"Chunk {chunk} is no picture or sound: only tracks {' and '.join(PLAYABLE)} are played."
        )
    playback.must_be_anchored(chunk)
