"""How far a session's chunks are, and holding them back; statistics."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from lucid_sessions.access.roles import sees_all

from .. import hints
from ..events import CHANGED
from ..lifecycle import STAGES, UNFINISHED, Status
from ..models import Chunk, Session
from ..ownership import sessions_of
from ..tombstones import GONE
from . import figures
from .documents import COMMON, ONE_SESSION_ERRORS, Described, problem
from .ownership import session_of
from .permissions import Allowed
from .problems import MEDIA_TYPE, NOT_IN_STATE, Problem
from .witnessed import Witnessed

# Announced at once when a session's processing goes on; the reconciler sees to any that are left.
AT_ONCE = 1000
GOING = {(409, MEDIA_TYPE): problem("LUCID_ERR_3004: the session is being deleted, or is gone.")}


class StageBody(serializers.Serializer[Any]):
    """What stands before one stage."""

    stage = serializers.ChoiceField(choices=list(STAGES))
    waiting = serializers.IntegerField()
    quarantined = serializers.IntegerField()


class QuarantinedBody(serializers.Serializer[Any]):
    """A chunk that a person has to look at. Its bytes are kept."""

    chunk = serializers.UUIDField()
    track = serializers.CharField()
    sequence = serializers.IntegerField()
    stage = serializers.CharField(allow_null=True)
    since = serializers.DateTimeField()
    reason = serializers.CharField()


class ReasonBody(serializers.Serializer[Any]):
    """Why chunks wait to be tried again."""

    reason = serializers.CharField()
    chunks = serializers.IntegerField()


class PipelineBody(serializers.Serializer[Any]):
    """How far a session's chunks are."""

    session = serializers.UUIDField()
    status = serializers.ChoiceField(choices=[s.value for s in Status])
    processing_paused = serializers.BooleanField()
    stages = StageBody(many=True)
    anchored = serializers.IntegerField()
    expired = serializers.IntegerField()
    total = serializers.IntegerField()
    oldest_waiting_since = serializers.DateTimeField(allow_null=True)
    oldest_waiting_seconds = serializers.FloatField(allow_null=True)
    waiting_reasons = ReasonBody(many=True)
    quarantined = QuarantinedBody(many=True, help_text=f"At most {figures.LISTED}; the counts are of all.")


class TrackBody(serializers.Serializer[Any]):
    """What one track amounts to."""

    track = serializers.CharField()
    chunks = serializers.IntegerField()
    start_us = serializers.IntegerField()
    end_us = serializers.IntegerField()
    frames = serializers.IntegerField()
    recorded_bytes = serializers.IntegerField()
    stored_bytes = serializers.IntegerField()


class StatisticsBody(serializers.Serializer[Any]):
    """What one session amounts to."""

    session = serializers.UUIDField()
    status = serializers.ChoiceField(choices=[s.value for s in Status])
    tracks = TrackBody(many=True)
    gaps = serializers.IntegerField(help_text="Of the screen track.")
    gap_seconds = serializers.FloatField()
    recorder = serializers.DictField(help_text="What the recorder last reported.")


class OverallBody(serializers.Serializer[Any]):
    """What all visible sessions amount to."""

    sessions = serializers.DictField(child=serializers.IntegerField(), help_text="By status.")
    chunks = serializers.DictField(child=serializers.IntegerField(), help_text="By state.")
    quarantined = serializers.IntegerField()
    recorded_bytes = serializers.IntegerField()
    stored_bytes = serializers.IntegerField()


class Pipeline(Witnessed, ViewSet):
    """A session's way through the stages."""

    permission_classes = [Allowed]
    schema = Described()
    needs = {
        "status": "view",
        "pause": "record",
        "resume": "record",
        "statistics": "view",
        "overall": "view",
    }
    rates = {"status": "status", "statistics": "status", "overall": "bulk"}
    deeds = {
        "status": "session.viewed",
        "statistics": "session.viewed",
        "overall": "sessions.listed",
        "pause": "pipeline.pause",
        "resume": "pipeline.resume",
    }

    @extend_schema(responses={200: PipelineBody, **ONE_SESSION_ERRORS})
    def status(self, request: Request, session_id: UUID) -> Response:
        """See how many chunks wait at each stage, which are quarantined and why."""
        return _state(session_of(request.user, session_id))

    @extend_schema(request=None, responses={200: PipelineBody, **GOING, **ONE_SESSION_ERRORS})
    def pause(self, request: Request, session_id: UUID) -> Response:
        """Hold a session's chunks where they are. Recording goes on; the spool keeps what it brings."""
        session = session_of(request.user, session_id)
        _hold(session, paused=True)
        return _state(session)

    @extend_schema(request=None, responses={200: PipelineBody, **GOING, **ONE_SESSION_ERRORS})
    def resume(self, request: Request, session_id: UUID) -> Response:
        """Let a session's chunks go on."""
        session = session_of(request.user, session_id)
        _hold(session, paused=False)
        due = Chunk.objects.filter(session=session.pk, state__in=UNFINISHED, quarantined_at__isnull=True)
        hints.hint(due.order_by("track", "sequence")[:AT_ONCE])
        return _state(session)

    @extend_schema(responses={200: StatisticsBody, **ONE_SESSION_ERRORS})
    def statistics(self, request: Request, session_id: UUID) -> Response:
        """Sum one session up: time, frames, bytes, gaps."""
        facts = figures.session_statistics(session_of(request.user, session_id))
        return Response(StatisticsBody(facts).data)

    @extend_schema(operation_id="sessions_statistics", responses={200: OverallBody, **COMMON})
    def overall(self, request: Request) -> Response:
        """Sum up every session that you see."""
        visible = sessions_of(request.user)
        return Response(
            OverallBody(figures.overall_statistics(visible, sees_all=sees_all(request.user))).data
        )


def _state(session: Session) -> Response:
    return Response(PipelineBody(figures.pipeline(session)).data)


def _hold(session: Session, *, paused: bool) -> None:
    here = Session.objects.filter(pk=session.pk).exclude(status__in=GONE)
    here.filter(processing_paused=not paused).update(processing_paused=paused, **CHANGED)
    session.refresh_from_db()
    if session.status in GONE:
        raise Problem(NOT_IN_STATE, f'Session "{session.name}" is {session.status}: nothing of it goes on.')
