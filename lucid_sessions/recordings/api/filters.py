"""What a list can be narrowed to, and how it can be ordered: plain indexed columns, one value each."""

from typing import Any

import django_filters
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from ..lifecycle import State, Status
from ..models import Chunk, Session
from ..tags import tagged


class SessionFilter(django_filters.FilterSet):
    """Filters of the session list."""

    status = django_filters.ChoiceFilter(choices=[(s.value, s.value) for s in Status])
    project = django_filters.CharFilter(help_text="Exactly this project.")
    environment = django_filters.CharFilter(help_text="Exactly this environment.")
    tag = django_filters.CharFilter(method="by_tag", help_text="Sessions that have exactly this tag.")
    owner = django_filters.CharFilter(method="by_owner", help_text="The owner's user name.")
    name = django_filters.CharFilter(lookup_expr="icontains", help_text="Part of the name, in any case.")
    text = django_filters.CharFilter(method="by_text", help_text="Part of the name or description.")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    ordering = django_filters.OrderingFilter(fields=["created_at"], help_text="Newest first without it.")

    class Meta:
        model = Session
        fields: list[str] = []

    def by_text(self, rows: "QuerySet[Session]", _name: str, value: str) -> "QuerySet[Session]":
        """Sessions whose name or description has this in it, in any case."""
        return rows.filter(Q(name__icontains=value) | Q(description__icontains=value))

    def by_tag(self, rows: "QuerySet[Session]", _name: str, value: str) -> "QuerySet[Session]":
        """Sessions that have this tag, whatever else they have."""
        return tagged(rows, value)

    def by_owner(self, rows: "QuerySet[Session]", _name: str, value: str) -> "QuerySet[Session]":
        """The sessions of one user, in two steps: rows are not joined."""
        owner: Any = get_user_model().objects.filter(username=value).first()
        return rows.none() if owner is None else rows.filter(owner=owner.pk)


class ChunkFilter(django_filters.FilterSet):
    """Filters of a session's chunk list."""

    track = django_filters.CharFilter(help_text="screen, input, audio or thumb.")
    state = django_filters.ChoiceFilter(choices=[(s.value, s.value) for s in State])
    quarantined = django_filters.BooleanFilter(
        field_name="quarantined_at", lookup_expr="isnull", exclude=True
    )

    class Meta:
        model = Chunk
        fields: list[str] = []
