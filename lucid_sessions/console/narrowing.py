"""What a list is narrowed to: the fields of its form, looked for by the API's filters."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from lucid_sessions.recordings.api.filters import Narrowing

Row = TypeVar("Row", bound=Model)
# Of a form's days, which are days of UTC, the first and the last are meant.
DAYS = {"from": ("created_after", timedelta()), "to": ("created_before", timedelta(days=1))}


@dataclass(frozen=True)
class Narrowed(Generic[Row]):
    """The rows that fit what was `given`; none while there are `faults`, for a list too long misleads."""

    rows: "QuerySet[Row]"
    given: dict[str, str]
    faults: list[str]

    @property
    def beyond_words(self) -> bool:
        """True when more is given than a text and a status."""
        return bool(self.given.keys() - {"text", "status"})


def narrow(
    listed: "QuerySet[Row]", asked: QueryDict, *, by: type[Narrowing], fields: tuple[str, ...]
) -> "Narrowed[Row]":
    """The listed rows that fit the form; fields that are empty are as if they were not there."""
    given = {name: text for name in fields if (text := asked.get(name, "").strip())}
    wanted, faults = _of_the_api(given)
    if not faults:
        found = by(wanted, listed)
        try:
            if found.is_valid():
                return Narrowed(found.qs, given, [])
            faults = [f"{name}: {' '.join(map(str, why))}" for name, why in found.errors.items()]
        except ValidationError as error:
            faults = [f"{name}: {why}" for name, why in dict(error.detail).items()]  # type: ignore[arg-type]
    return Narrowed(listed.none(), given, faults)


def _of_the_api(given: dict[str, str]) -> tuple[QueryDict, list[str]]:
    wanted, faults = QueryDict(mutable=True), []
    for name, text in given.items():
        if name not in DAYS:
            wanted[name] = text
            continue
        known_as, later = DAYS[name]
        try:
            wanted[known_as] = f"{date.fromisoformat(text) + later}T00:00:00Z"
        except (ValueError, OverflowError):
            faults.append(f"{name}: {text[:100]!r} is no day, such as 2026-01-31.")
    return wanted, faults
