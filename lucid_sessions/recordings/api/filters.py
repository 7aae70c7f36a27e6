"""What a list can be narrowed to, and how it can be ordered: plain indexed columns, one value each."""

import re
from datetime import UTC, datetime
from typing import Any, cast

import django_filters
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError

from lucid_sessions.access.models import Job, JobStatus
from lucid_sessions.access.visible import VISIBLE

from ..jobs import KINDS
from ..lifecycle import TRACKS, State, Status
from ..models import Chunk, Session
from ..tags import tagged

IN_ANY_CASE = "in any case; on SQLite that is so for A to Z only."
# What is longer is in no name, and in hardly any description; SQLite looks for no more than 50,000 bytes.
LONGEST = 1000


@extend_schema_field({"type": "string", "maxLength": LONGEST})
class TextFilter(django_filters.CharFilter):
    """A text that is looked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, max_length=LONGEST, **kwargs)


FORMS = {
    django_filters.IsoDateTimeFilter: (
        re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII),
        "is no time of RFC 3339, such as 2026-01-31T12:00:00Z (in an address, + is written %2B).",
    ),
    django_filters.BooleanFilter: (re.compile("true|false"), "is neither true nor false."),
    django_filters.UUIDFilter: (
        re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
        "is no UUID.",
    ),
    django_filters.ChoiceFilter: (re.compile(".+"), "is empty: leave it out."),
    TextFilter: (VISIBLE, "has nothing to be seen: leave it out."),
}


class Narrowing(django_filters.FilterSet):
    """Filters that refuse what they would otherwise pass over: a list that is too long misleads."""

    def is_valid(self) -> bool:
        """True when every filter is in its documented form; ValidationError for one that is not.

        What is no filter, or is given twice, is refused by whoever knows what else may be given (`only`).
        """
        given = cast(QueryDict, self.data)
        for name in self.filters.keys() & given.keys():
            form, why = FORMS.get(type(self.filters[name]), (None, ""))
            if form is not None and not form.fullmatch(str(given[name])):
                raise ValidationError({name: f"{given[name][:100]!r} {why}"})
            _require_a_choice(name, self.filters[name], str(given[name]))
        valid = super().is_valid()
        for name, value in self.form.cleaned_data.items():
            _require_a_moment(name, value)
        return valid


def _require_a_choice(name: str, one: django_filters.Filter, given: str) -> None:
    """ValidationError that names the choices, where there are some and this is none of them."""
    known = [str(value) for value, _ in one.extra.get("choices", ())]
    if known and given not in known:
        raise ValidationError({name: f"{given[:100]!r} is not a valid choice. Known: {', '.join(known)}."})


def _require_a_moment(name: str, value: Any) -> None:
    """ValidationError for a time that is before the first year, or behind the last, where times are UTC."""
    try:
        if isinstance(value, datetime):
            value.astimezone(UTC)
    except OverflowError as error:
        raise ValidationError({name: "is, in UTC, in no year from 1 to 9999."}) from error


class SessionFilter(Narrowing):
    """Filters of the session list."""

    status = django_filters.ChoiceFilter(choices=[(s.value, s.value) for s in Status])
    project = TextFilter(help_text="Exactly this project.")
    environment = TextFilter(help_text="Exactly this environment.")
    tag = TextFilter(method="by_tag", help_text="Sessions that have exactly this tag.")
    owner = TextFilter(method="by_owner", help_text="The owner's user name.")
    name = TextFilter(lookup_expr="icontains", help_text=f"Part of the name, {IN_ANY_CASE}")
    text = TextFilter(method="by_text", help_text=f"Part of name or description, {IN_ANY_CASE}")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    ordering = django_filters.ChoiceFilter(
        method="in_order",
        choices=[("created_at", "oldest first"), ("-created_at", "newest first")],
        help_text="Newest first without it.",
    )

    class Meta:
        model = Session
        fields: list[str] = []

    def in_order(self, rows: "QuerySet[Session]", _name: str, value: str) -> "QuerySet[Session]":
        """By creation; the id decides between those of one moment, so that a cursor loses none."""
        return rows.order_by(value, value.replace("created_at", "id"))

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


class JobFilter(Narrowing):
    """Filters of the list of jobs."""

    status = django_filters.ChoiceFilter(choices=JobStatus.choices)
    kind = django_filters.ChoiceFilter(choices=[(one, one) for one in KINDS])
    session = django_filters.UUIDFilter(help_text="Jobs about this session.")

    class Meta:
        model = Job
        fields: list[str] = []


class ChunkFilter(Narrowing):
    """Filters of a session's chunk list."""

    track = django_filters.ChoiceFilter(choices=[(one, one) for one in TRACKS])
    state = django_filters.ChoiceFilter(choices=[(s.value, s.value) for s in State])
    quarantined = django_filters.BooleanFilter(
        field_name="quarantined_at", lookup_expr="isnull", exclude=True
    )

    class Meta:
        model = Chunk
        fields: list[str] = []
