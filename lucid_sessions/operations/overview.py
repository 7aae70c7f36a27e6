"""How every service is, in one answer at /api/v1/health: asked in the background, never waited for."""

import http.client
import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication

from lucid_sessions.access import api_tokens
from lucid_sessions.access.authentication import BearerAuthentication
from lucid_sessions.recordings.api.documents import COMMON, NOT_SIGNED_IN, Described
from lucid_sessions.recordings.api.problems import MEDIA_TYPE

from . import health
from .background import Watched
from .services import SERVICES

# How long another service is waited for; nobody waits for us meanwhile.
PATIENCE_SECONDS = 1.0
PROBLEMS = {**NOT_SIGNED_IN, (503, MEDIA_TYPE): COMMON[503, MEDIA_TYPE]}
# The stubs know only names here.
BEARER: Any = [{"bearer": []}]
AWAY: Mapping[str, Any] = {"status": "away", "checks": {}}


class ServiceBody(serializers.Serializer[Any]):
    """One service."""

    service = serializers.CharField()
    status = serializers.ChoiceField(
        choices=["ready", "not_ready", "unhealthy", "away"],
        help_text="not_ready: something that it needs is away. unhealthy: one of its programs keeps ending.",
    )
    checks = serializers.DictField(child=serializers.BooleanField(), help_text="What it needs, by name.")


class OverviewBody(serializers.Serializer[Any]):
    """The installation."""

    status = serializers.ChoiceField(
        choices=["healthy", "degraded"], help_text="healthy: every service is ready."
    )
    timestamp = serializers.DateTimeField()
    services = ServiceBody(many=True)


class BelievedBearer(BearerAuthentication):
    """A bearer token; an access token is believed by its signature, as the database may be what is away."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Who the token speaks of; None when there is none."""
        header = self.get_header(request)
        raw = self.get_raw_token(header) if header else None
        if raw is None or raw.startswith(api_tokens.PREFIX.encode()):
            return super().authenticate(request)
        token = self.get_validated_token(raw)
        return JWTStatelessUserAuthentication().get_user(token), token


class Overview(APIView):
    """Every service of the installation."""

    authentication_classes = [BelievedBearer]
    permission_classes = [IsAuthenticated]
    schema = Described()
    who = "none but to be signed in."

    @extend_schema(operation_id="health", auth=BEARER, responses={200: OverviewBody, **PROBLEMS})
    def get(self, _request: Request) -> Response:
        """Look at how every service is. It answers at once: a service that hangs counts as away."""
        return Response(answer(), headers={"Cache-Control": "no-store"})


def answer() -> dict[str, Any]:
    """The body: this service by its own checks, the others by what they last said of themselves."""
    others, deadline = _others(), time.monotonic() + health.BUDGET_SECONDS
    for one in others.values():
        one.begin()
    own = _own().ready()
    found = [{"service": settings.SERVICE, "status": own.body["status"], "checks": own.body["checks"]}]
    found += [
        {"service": name, **one.latest(within=deadline - time.monotonic())} for name, one in others.items()
    ]
    well = all(one["status"] == "ready" for one in found)
    return {
        "status": "healthy" if well else "degraded",
        "timestamp": own.body["timestamp"],
        "services": found,
    }


@cache
def _own() -> health.Health:
    return health.Health(health.checks(), service=settings.SERVICE)


@cache
def _others() -> dict[str, Watched[Mapping[str, Any]]]:
    usual = {} if settings.EMBEDDED else {n: f"http://{n}:{s.port}" for n, s in SERVICES.items() if not s.web}
    return {name: _watched(address) for name, address in (settings.LUCID_SERVICES or usual).items()}


def _watched(address: str) -> Watched[Mapping[str, Any]]:
    return Watched(lambda: _said_by(address), otherwise=AWAY)


def _said_by(address: str) -> Mapping[str, Any]:
    """What the service at http://host:port says of itself; raises when it says nothing that we know."""
    steady, _ = _asked(address, "/health")
    status, said = _asked(address, "/health/ready")
    checks = {str(name): bool(well) for name, well in said["checks"].items()}
    if steady != http.client.OK:
        return {"status": "unhealthy", "checks": checks}
    return {"status": "ready" if status == http.client.OK else "not_ready", "checks": checks}


def _asked(address: str, path: str) -> tuple[int, Any]:
    place = urlsplit(address)
    asked = http.client.HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE_SECONDS)
    try:
        asked.request("GET", path)
        answered = asked.getresponse()
        return answered.status, json.loads(answered.read())
    finally:
        asked.close()
