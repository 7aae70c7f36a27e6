"""Webhooks over HTTP: who is told of events, what came of it, and telling it again."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from lucid_sessions.access.models import DeliveryStatus, WebhookDelivery, WebhookEndpoint
from lucid_sessions.errors import Refused

from .. import events
from ..webhooks import deliveries, endpoints
from .desktops import LABEL
from .documents import (
    COMMON,
    CONFIGURATION_ERRORS,
    IF_MATCH,
    IF_MATCH_ERRORS,
    IF_NONE_MATCH,
    NOT_MODIFIED,
    ONCE,
    ONCE_SHOWN_ERRORS,
    Described,
    problem,
)
from .pagination import Pages
from .permissions import Administers
from .preconditions import has, require_match, unchanged
from .problems import CONFLICT, INVALID, MEDIA_TYPE, NO_SUCH_THING, NOT_READY, Problem, refused_as
from .replays import once
from .strict import Strict
from .witnessed import Witnessed, tell

NONE = {(404, MEDIA_TYPE): problem("LUCID_ERR_1012: there is none.")}
# What `sending.parse` takes apart: a host, perhaps a port, path and query of printable ASCII.
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
URL = rf"^https?://{LABEL}(\.{LABEL})*(:({_PORT}))?([/?][!-\x22$-~]*)?$"
OUTRUN = {(409, MEDIA_TYPE): problem("LUCID_ERR_3003: it was changed at the same moment.")}
DISABLED = {(409, MEDIA_TYPE): problem("LUCID_ERR_3012: the endpoint is disabled.")}
BUSY = {(409, MEDIA_TYPE): problem("LUCID_ERR_3012: it is on its way already, or the endpoint is disabled.")}


class _Chosen(Strict):
    """What is chosen for an endpoint."""

    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=events.KINDS),
        max_length=len(events.KINDS),
        required=False,
        help_text="The kinds that it is told of; none: all of them.",
    )


class NewEndpoint(_Chosen):
    """An endpoint to be made."""

    url = serializers.RegexField(URL, max_length=500, help_text="https://, on the public network.")


class EndpointChanges(_Chosen):
    """What can change of an endpoint."""

    url = serializers.RegexField(
        URL, max_length=500, required=False, help_text="https://, on the public network."
    )
    enabled = serializers.BooleanField(required=False, help_text="While it is not, nothing is kept for it.")


class EndpointBody(serializers.ModelSerializer[WebhookEndpoint]):
    """An endpoint, without its secret."""

    events = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = WebhookEndpoint
        fields = (
            *("id", "url", "description", "events", "enabled", "reason", "failures", "failing_since"),
            *("quiet_until", "created_by", "created_at", "version"),
        )
        read_only_fields = fields


class MadeEndpoint(EndpointBody):
    """An endpoint with its new secret, which is shown this once."""

    secret = serializers.CharField(read_only=True, help_text="whsec_..., as Standard Webhooks has it.")

    class Meta:
        model = WebhookEndpoint
        fields = (*EndpointBody.Meta.fields, "secret")
        read_only_fields = fields


class DeliveryBody(serializers.ModelSerializer[WebhookDelivery]):
    """One event on its way to one endpoint."""

    status = serializers.ChoiceField(choices=DeliveryStatus.choices, help_text="How far it is.")
    answer = serializers.IntegerField(help_text="The HTTP status of the last attempt; 0: no answer.")

    class Meta:
        model = WebhookDelivery
        fields = (
            *("id", "event", "kind", "status", "attempts", "answer", "reason", "milliseconds"),
            *("created_at", "attempted_at", "next_attempt_at"),
        )
        read_only_fields = fields


class Webhooks(Witnessed, GenericViewSet[WebhookEndpoint]):
    """Endpoints that are told of events; for administrators."""

    serializer_class = EndpointBody
    pagination_class = Pages
    permission_classes = [Administers]
    schema = Described()
    who = "the role `admin`, signed in; no API token."
    queryset = WebhookEndpoint.objects.all()
    rates = {"list": "status", "retrieve": "status", "deliveries": "status", "create": "create"}
    deeds = {
        "list": "webhooks.listed",
        "create": "webhook.created",
        "retrieve": "webhook.viewed",
        "partial_update": "webhook.changed",
        "destroy": "webhook.deleted",
        "rotate": "webhook.secret-rotated",
        "ping": "webhook.pinged",
        "deliveries": "webhook.log-viewed",
        "redeliver": "webhook.redelivered",
    }

    @extend_schema(operation_id="webhooks_list", responses={200: EndpointBody(many=True), **COMMON})
    def list(self, _request: Request) -> Any:
        """List the endpoints, newest first."""
        page: Any = self.paginate_queryset(WebhookEndpoint.objects.order_by("-created_at", "-id"))
        return self.get_paginated_response(EndpointBody(page, many=True).data)

    @extend_schema(
        request=NewEndpoint,
        parameters=[ONCE],
        responses={201: MadeEndpoint, **CONFIGURATION_ERRORS, **ONCE_SHOWN_ERRORS},
    )
    def create(self, request: Request) -> Response:
        """Make an endpoint. Its secret is in this answer only: keep it, to check signatures with."""
        return once(request, lambda made: self._created(request, made), secret=True)

    def _created(self, request: Request, made: UUID) -> Response:
        # An earlier request under the same key may have made it, whose answer did not get so far.
        row = WebhookEndpoint.objects.filter(pk=made).first()
        row, secret = _new(request, made) if row is None else (row, endpoints.renew(row))
        tell(request, facts={"webhook": str(row.pk), "url": row.url, "events": row.events})
        return Response({**EndpointBody(row).data, "secret": secret}, 201, headers=_tag_of(row))

    @extend_schema(
        parameters=[IF_NONE_MATCH], responses={200: EndpointBody, **NOT_MODIFIED, **NONE, **COMMON}
    )
    def retrieve(self, request: Request, webhook_id: UUID) -> HttpResponse:
        """Look at one endpoint."""
        row = _one(webhook_id)
        return unchanged(_tag_of(row)) if has(request, _tag(row)) else _shown(row)

    @extend_schema(
        request=EndpointChanges,
        parameters=[IF_MATCH],
        responses={200: EndpointBody, **NONE, **OUTRUN, **CONFIGURATION_ERRORS, **IF_MATCH_ERRORS},
    )
    def partial_update(self, request: Request, webhook_id: UUID) -> Response:
        """Change an endpoint, disable it, or enable it again."""
        row = _one(webhook_id)
        body = EndpointChanges(data=request.data)
        body.is_valid(raise_exception=True)
        require_match(request, row)
        tell(request, facts=dict(body.validated_data))
        try:
            return _shown(endpoints.change(row, **body.validated_data))
        except Refused as error:
            kind = CONFLICT if isinstance(error, endpoints.ChangedMeanwhile) else INVALID
            raise Problem(kind, str(error)) from error

    @extend_schema(parameters=[IF_MATCH], responses={204: None, **NONE, **COMMON, **IF_MATCH_ERRORS})
    def destroy(self, request: Request, webhook_id: UUID) -> Response:
        """Delete an endpoint and its log."""
        row = _one(webhook_id)
        require_match(request, row)
        endpoints.delete(row)
        return Response(status=204)

    @extend_schema(request=None, responses={200: MadeEndpoint, **NONE, **OUTRUN, **COMMON})
    def rotate(self, _request: Request, webhook_id: UUID) -> Response:
        """Get a new secret, in this answer only. For 24 hours the one before signs too."""
        row = _one(webhook_id)
        with refused_as(CONFLICT):
            secret = endpoints.rotate(row)
        return Response({**EndpointBody(row).data, "secret": secret}, headers=_tag_of(row))

    @extend_schema(request=None, responses={202: DeliveryBody, **NONE, **DISABLED, **COMMON})
    def ping(self, request: Request, webhook_id: UUID) -> Response:
        """Have a `webhook.test` event sent, whatever kinds the endpoint is told of."""
        user: Any = request.user
        row = _one(webhook_id)
        with refused_as(NOT_READY):
            return Response(DeliveryBody(endpoints.ping(row, by=user.get_username())).data, 202)

    @extend_schema(
        operation_id="webhooks_deliveries",
        # The media type makes it the first of the answers, which says that there are pages.
        responses={(200, "application/json"): DeliveryBody(many=True), **NONE, **COMMON},
    )
    def deliveries(self, _request: Request, webhook_id: UUID) -> Any:
        """List what was sent to an endpoint and what came of it, newest first."""
        rows: Any = WebhookDelivery.objects.filter(endpoint=_one(webhook_id).pk).order_by(
            "-created_at", "-id"
        )
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(DeliveryBody(page, many=True).data)

    @extend_schema(request=None, responses={202: DeliveryBody, **NONE, **BUSY, **COMMON})
    def redeliver(self, _request: Request, webhook_id: UUID, delivery_id: UUID) -> Response:
        """Send an event again, under the same `webhook-id`."""
        found = deliveries.delivery_of(webhook_id, delivery_id)
        if found is None:
            raise Problem(NO_SUCH_THING, f"There is no delivery {delivery_id} to endpoint {webhook_id}.")
        with refused_as(NOT_READY):
            return Response(DeliveryBody(endpoints.redeliver(_one(webhook_id), found)).data, 202)


def _new(request: Request, made: UUID) -> tuple[WebhookEndpoint, str]:
    body = NewEndpoint(data=request.data)
    body.is_valid(raise_exception=True)
    given = body.validated_data
    user: Any = request.user
    try:
        return endpoints.create(
            given["url"],
            kinds=given.get("events", []),
            description=given.get("description", ""),
            by=user.get_username(),
            id=made,
        )
    except endpoints.TooMany as error:
        raise Problem(CONFLICT, str(error)) from error
    except Refused as error:
        raise Problem(INVALID, str(error)) from error


def _one(pk: UUID) -> WebhookEndpoint:
    row = WebhookEndpoint.objects.filter(pk=pk).first()
    if row is None:
        raise Problem(NO_SUCH_THING, f"There is no webhook endpoint {pk}.")
    return row


def _shown(row: WebhookEndpoint) -> Response:
    return Response(EndpointBody(row).data, headers=_tag_of(row))


def _tag_of(row: WebhookEndpoint) -> dict[str, str]:
    return {"ETag": _tag(row)}


def _tag(row: WebhookEndpoint) -> str:
    """Its version and, while it fails, how: that is shown, too, and is nobody's change."""
    if not row.failures or row.quiet_until is None:
        return f'"{row.version}"'
    return f'"{row.version}.{row.failures}.{int(row.quiet_until.timestamp() * 1000)}"'
