"""The audit over HTTP, for administrators and auditors: who did what, from where, why."""

from datetime import UTC, datetime
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from lucid_sessions.access import audit, audit_export
from lucid_sessions.access.models import AuditEvent

from . import rendering
from .documents import CONFIGURATION_ERRORS, Described
from .filters import Narrowing, TextFilter
from .pagination import Pages
from .permissions import Audits
from .ranges import Whatever
from .strict import only
from .witnessed import Witnessed

COLUMNS = (
    *("id", "at_us", "action", "outcome", "user", "username", "means", "address", "session", "item", "why"),
    *("facts", "request_id", "batch"),
)


class EventBody(serializers.Serializer[Any]):
    """One event."""

    id = serializers.UUIDField()
    at = serializers.DateTimeField()
    action = serializers.CharField(help_text="Such as session.played.")
    outcome = serializers.ChoiceField(choices=[audit.DONE, audit.REFUSED, audit.DENIED, audit.FAILED])
    user = serializers.CharField(help_text="The id; empty for strangers.")
    username = serializers.CharField(help_text="As it was then.")
    means = serializers.CharField(help_text="token, api-token, link or browser.")
    address = serializers.CharField()
    session = serializers.CharField()
    item = serializers.CharField()
    why = serializers.CharField()
    facts = serializers.DictField(allow_null=True)
    request_id = serializers.CharField()
    batch = serializers.IntegerField(allow_null=True, help_text="The batch that the ledger fixed it by.")


class EventFilter(Narrowing):
    """Filters of the audit: exact matches on indexed columns, and a time range."""

    action = TextFilter()
    outcome = TextFilter()
    username = TextFilter()
    session = django_filters.UUIDFilter(method="by_session")
    after = django_filters.IsoDateTimeFilter(method="since", help_text="From this time on.")
    before = django_filters.IsoDateTimeFilter(method="until", help_text="Before this time.")

    class Meta:
        model = AuditEvent
        fields: list[str] = []

    @extend_schema_field(OpenApiTypes.UUID)
    def by_session(self, rows: "QuerySet[AuditEvent]", _name: str, value: Any) -> "QuerySet[AuditEvent]":
        """The events of one session."""
        return rows.filter(session=str(value))

    def since(self, rows: "QuerySet[AuditEvent]", _name: str, value: datetime) -> "QuerySet[AuditEvent]":
        """From a time on."""
        return rows.filter(at_us__gte=_micros(value))

    def until(self, rows: "QuerySet[AuditEvent]", _name: str, value: datetime) -> "QuerySet[AuditEvent]":
        """Before a time."""
        return rows.filter(at_us__lt=_micros(value))


class Audit(Witnessed, GenericViewSet[AuditEvent]):
    """Whoever reads the audit is in it too."""

    serializer_class = EventBody
    filterset_class = EventFilter
    pagination_class = Pages
    permission_classes = [Audits]
    schema = Described()
    who = "the role `admin` or `auditor`."
    queryset = AuditEvent.objects.all()
    rates = {"list": "status", "export": "bulk"}
    filtered = ("export",)
    deeds = {"list": "audit.read", "export": "audit.exported"}
    content_negotiation_class = Whatever
    renderer_classes = [JSONRenderer]

    @extend_schema(responses={200: EventBody(many=True), **CONFIGURATION_ERRORS})
    def list(self, _request: Request) -> HttpResponse:
        """List what was done, newest first; for administrators and auditors."""
        rows = self.filter_queryset(AuditEvent.objects.order_by("-at_us", "-id"))
        page: Any = self.paginate_queryset(rendering.columns(rows, COLUMNS))
        return self.get_paginated_response([_shown(row) for row in page])

    @extend_schema(
        parameters=[OpenApiParameter("form", str, OpenApiParameter.PATH, enum=sorted(audit_export.FORMS))],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            **CONFIGURATION_ERRORS,
        },
    )
    def export(self, request: Request, form: str) -> StreamingHttpResponse:
        """Download the audit, oldest first, with the same filters; each event has its salted digest."""
        only(self.filterset_class.base_filters, request.query_params)  # there are no pages
        how = audit_export.FORMS[form]
        rows = self.filter_queryset(AuditEvent.objects.order_by())
        headers = {"Content-Disposition": f'attachment; filename="audit.{form}"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(how.lines(rows), content_type=how.media_type, headers=headers)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    at = datetime.fromtimestamp(row["at_us"] / 1_000_000, UTC)
    return {"at": rendering.moment(at), **{name: row[name] for name in COLUMNS if name != "at_us"}}


def _micros(value: datetime) -> int:
    return int(value.timestamp() * 1_000_000)
