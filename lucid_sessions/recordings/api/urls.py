"""The addresses under /api/v1/."""

from typing import Any

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from .auditing import Audit
from .chunks import Chunks
from .downloads import Downloads
from .filmstrip import Filmstrip, Posters
from .holding import Holding
from .input import Input
from .jobs import Jobs
from .ledger import Ledger
from .links import Links
from .machines import Tokens
from .pipeline import Pipeline
from .playback import Playback
from .ranges import Whatever
from .sessions import Sessions
from .tokens import Flower, Refresh, SignIn, SignOut
from .webhooks import Webhooks

app_name = "api"
ONE = "sessions/<uuid:session_id>"
CHUNK = f"{ONE}/chunks/<uuid:chunk_id>"
_ONE_SESSION: Any = {"get": "retrieve", "patch": "partial_update", "put": "update", "delete": "destroy"}

_access = [
    path("auth/token", SignIn.as_view(), name="token"),
    path("auth/refresh", Refresh.as_view(), name="refresh"),
    path("auth/logout", SignOut.as_view(), name="logout"),
    path("auth/flower", Flower.as_view(), name="flower"),
    path("auth/api-tokens", Tokens.as_view({"get": "list", "post": "create"}), name="api-tokens"),
    path("auth/api-tokens/<uuid:token_id>", Tokens.as_view({"delete": "destroy"}), name="api-token"),
    path("audit/", Audit.as_view({"get": "list"}), name="audit"),
    re_path(r"^audit/export\.(?P<form>csv|ndjson)$", Audit.as_view({"get": "export"}), name="audit-export"),
    path("links", Links.as_view({"post": "create"}), name="links"),
]
_sessions = [
    path("sessions", Sessions.as_view({"get": "list", "post": "create"}), name="sessions"),
    path("sessions/statistics", Pipeline.as_view({"get": "overall"}), name="overall"),
    path(ONE, Sessions.as_view(_ONE_SESSION), name="session"),
    *(
        path(f"{ONE}/{verb}", Sessions.as_view({"post": verb}), name=verb)
        for verb in ("start", "stop", "pause", "resume")
    ),
    path(f"{ONE}/hold", Holding.as_view({"get": "list", "post": "place"}), name="hold"),
    path(f"{ONE}/hold/<slug:hold_id>/release", Holding.as_view({"post": "release"}), name="release"),
    path(f"{ONE}/pipeline", Pipeline.as_view({"get": "status"}), name="pipeline"),
    path(f"{ONE}/pipeline/pause", Pipeline.as_view({"post": "pause"}), name="pipeline-pause"),
    path(f"{ONE}/pipeline/resume", Pipeline.as_view({"post": "resume"}), name="pipeline-resume"),
    path(f"{ONE}/statistics", Pipeline.as_view({"get": "statistics"}), name="statistics"),
]
_media = [
    path(f"{ONE}/chunks", Chunks.as_view({"get": "list"}), name="chunks"),
    path(CHUNK, Chunks.as_view({"get": "retrieve"}), name="chunk"),
    path(f"{CHUNK}/download", Downloads.as_view({"get": "blob"}), name="chunk-download"),
    path(f"{CHUNK}/media", Downloads.as_view({"get": "media"}), name="chunk-media"),
    path(f"{ONE}/playback.m3u8", Playback.as_view({"get": "playlist"}), name="playlist"),
    path(f"{ONE}/segments/<uuid:chunk_id>.mp4", Playback.as_view({"get": "segment"}), name="segment"),
    path(f"{ONE}/filmstrip", Filmstrip.as_view({"get": "index"}), name="filmstrip"),
    path(f"{ONE}/posters/<uuid:chunk_id>.webp", Posters.as_view({"get": "poster"}), name="poster"),
    path(f"{ONE}/input", Input.as_view({"get": "index"}), name="input"),
    path(f"{ONE}/export", Jobs.as_view({"post": "export"}), name="export"),
    path(f"{ONE}/evidence", Jobs.as_view({"post": "evidence"}), name="evidence"),
    path(f"{ONE}/verify", Jobs.as_view({"post": "verify"}), name="verify"),
    path("jobs", Jobs.as_view({"get": "list"}), name="jobs"),
    path("jobs/<uuid:job_id>", Jobs.as_view({"get": "retrieve"}), name="job"),
    path("jobs/<uuid:job_id>/cancel", Jobs.as_view({"post": "cancel"}), name="job-cancel"),
    path("jobs/<uuid:job_id>/result", Jobs.as_view({"get": "result"}), name="job-result"),
]
_NOT_JSON: Any = {"content_negotiation_class": Whatever}
_ledger = [
    path(f"{ONE}/proof", Ledger.as_view({"get": "session"}), name="proof"),
    path(f"{CHUNK}/proof", Ledger.as_view({"get": "chunk"}), name="chunk-proof"),
    path("ledger/checkpoint", Ledger.as_view({"get": "checkpoint"}, **_NOT_JSON), name="checkpoint"),
    path("ledger/records/<int:index>", Ledger.as_view({"get": "record"}), name="record"),
    path("ledger/consistency", Ledger.as_view({"get": "consistency"}), name="consistency"),
]
HOOK = "webhooks/<uuid:webhook_id>"
_ONE_WEBHOOK: Any = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
_webhooks = [
    path("webhooks", Webhooks.as_view({"get": "list", "post": "create"}), name="webhooks"),
    path(HOOK, Webhooks.as_view(_ONE_WEBHOOK), name="webhook"),
    path(f"{HOOK}/rotate-secret", Webhooks.as_view({"post": "rotate"}), name="webhook-rotate"),
    path(f"{HOOK}/ping", Webhooks.as_view({"post": "ping"}), name="webhook-ping"),
    path(f"{HOOK}/deliveries", Webhooks.as_view({"get": "deliveries"}), name="webhook-deliveries"),
    path(
        f"{HOOK}/deliveries/<uuid:delivery_id>/redeliver",
        Webhooks.as_view({"post": "redeliver"}),
        name="webhook-redeliver",
    ),
]
# What is asked for most comes first: each address is tried in turn.
urlpatterns = [
    *_sessions,
    *_access,
    *_media,
    *_ledger,
    *_webhooks,
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
]
