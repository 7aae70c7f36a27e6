"""The addresses under /api/v1/."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from .chunks import Chunks
from .pipeline import Pipeline
from .playback import Playback
from .sessions import Sessions
from .tokens import Refresh, SignIn, SignOut

app_name = "api"
ONE = "sessions/<uuid:session_id>"

urlpatterns = [
    path("auth/token", SignIn.as_view(), name="token"),
    path("auth/refresh", Refresh.as_view(), name="refresh"),
    path("auth/logout", SignOut.as_view(), name="logout"),
    path("sessions", Sessions.as_view({"get": "list", "post": "create"}), name="sessions"),
    path("sessions/statistics", Pipeline.as_view({"get": "overall"}), name="overall"),
    path(ONE, Sessions.as_view({"get": "retrieve", "patch": "partial_update"}), name="session"),
    *(
        path(f"{ONE}/{verb}", Sessions.as_view({"post": verb}), name=verb)
        for verb in ("start", "stop", "pause", "resume")
    ),
    path(f"{ONE}/chunks", Chunks.as_view({"get": "list"}), name="chunks"),
    path(f"{ONE}/chunks/<uuid:chunk_id>", Chunks.as_view({"get": "retrieve"}), name="chunk"),
    path(f"{ONE}/pipeline", Pipeline.as_view({"get": "status"}), name="pipeline"),
    path(f"{ONE}/pipeline/pause", Pipeline.as_view({"post": "pause"}), name="pipeline-pause"),
    path(f"{ONE}/pipeline/resume", Pipeline.as_view({"post": "resume"}), name="pipeline-resume"),
    path(f"{ONE}/statistics", Pipeline.as_view({"get": "statistics"}), name="statistics"),
    path(f"{ONE}/playback.m3u8", Playback.as_view({"get": "playlist"}), name="playlist"),
    path(f"{ONE}/segments/<uuid:chunk_id>.mp4", Playback.as_view({"get": "segment"}), name="segment"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
]
