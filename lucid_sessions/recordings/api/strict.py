"""Requests that are told no: to what is not known, and to what has another type than the schema says."""

import re
from collections.abc import Collection, Mapping
from copy import copy
from typing import Any, ClassVar, Self

from django.core.validators import RegexValidator
from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from lucid_sessions.access.visible import VISIBLE

# NUL is in no text that is sent; in fields that may not be blank a character can be seen.
ANY_TEXT = r"^[^\x00]*$"
MOST_DIGITS = 19  # of a number of 64 bits
# Where the policy asks why, any address may be told so in its query.
ANYWHERE = frozenset({"reason"})


@extend_schema_field({"type": "boolean", "const": True})
class OnlyTrue(serializers.BooleanField):
    """Something that cannot be turned off."""


@extend_schema_field({"type": "integer", "const": None})
class OnlyNull(serializers.IntegerField):
    """Something that cannot be chosen in this release."""


def are_digits(text: str) -> bool:
    """Whether it is a number of a query, of no more digits than any can have."""
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS


class Digits(serializers.IntegerField):
    """A number of a query: nothing but digits, where Python would also read ` 5`, `+5`, `1_0` and `5.0`."""

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if not are_digits(text := str(data)):
            raise serializers.ValidationError(f"{text[:100]!r} is no whole number.")
        return super().to_internal_value(data)


class Strict(serializers.Serializer[Any]):
    """A body of which every field must be known and settable. `refused` gives known ones their own reason.

    JSON types count: the text "1" is no number, and the number 1 no text.
    """

    refused: Mapping[str, str] = {}
    _pattern: ClassVar[Self | None] = None

    @classmethod
    def of(cls, data: Any) -> Self:
        """The body, still to be checked. Its fields are made once and keep nothing of any request.

        To make them each time took as long as to check what was sent.
        """
        pattern = cls.__dict__.get("_pattern")
        if pattern is None:
            pattern = cls._pattern = cls()
            _ = pattern.fields
        body = copy(pattern)
        body.initial_data = data
        return body

    @classmethod
    def describe(cls, schema: dict[str, Any]) -> None:
        """Add to the body's JSON schema what its fields cannot say one by one."""

    def to_internal_value(self, data: Any) -> Any:
        """The checked values; every fault with its field."""
        if isinstance(data, Mapping):
            faults = {str(name): why for name, value in data.items() if (why := self._why_not(name, value))}
            if faults:
                raise serializers.ValidationError(faults)
        return super().to_internal_value(data)

    def _why_not(self, key: Any, value: Any) -> str | None:
        name = str(key)
        if name in self.refused:
            return self.refused[name]
        field = self.fields.get(name)
        if field is None:
            known = ", ".join(known for known, field in self.fields.items() if not field.read_only)
            return f"is not known here. Known: {known}."
        return "cannot be set." if field.read_only else _fault(field, value)


def only(known: Collection[str], query: QueryDict) -> QueryDict:
    """The query; ValidationError for a name that is not known, or that is given twice.

    What is passed over answers another question than the one that was asked.
    """
    for name, values in query.lists():
        if name not in known and name not in ANYWHERE:
            raise serializers.ValidationError({name[:100]: f"is not known here. Known: {', '.join(known)}."})
        if len(values) > 1:
            raise serializers.ValidationError({name: "is given more than once."})
    return query


def _fault(field: Any, value: Any) -> str | None:
    """Why the value cannot be this field's; None where only the field itself can tell."""
    if value is None or isinstance(field, serializers.BaseSerializer):
        return None
    if isinstance(field, serializers.ChoiceField):
        return None if str(value) in map(str, field.choices) else _no_choice(field, value)
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        return next((why for one in value if (why := _fault(field.child, one))), None)
    if isinstance(field, serializers.BooleanField):
        return None if isinstance(value, bool) else "Must be true or false."
    if isinstance(field, serializers.IntegerField):
        whole = isinstance(value, float) and value.is_integer()
        return None if _is_number(value, int) or whole else "A whole number is needed."
    if isinstance(field, serializers.FloatField):
        return None if _is_number(value, int | float) else "A number is needed."
    if isinstance(field, serializers.CharField):
        return _fault_of_text(field, value)
    return None


def _no_choice(field: serializers.ChoiceField, value: Any) -> str:
    return f'"{str(value)[:100]}" is not a valid choice. Known: {", ".join(map(str, field.choices))}.'


def _is_in_form(field: serializers.RegexField, value: str) -> bool:
    return all(re.search(one.regex, value) for one in field.validators if isinstance(one, RegexValidator))


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _fault_of_text(field: serializers.CharField, value: Any) -> str | None:
    if not isinstance(value, str):
        return "A text is needed."
    if field.max_length is not None and len(value) > field.max_length:
        return f"At most {field.max_length} characters, spaces included."
    if isinstance(field, serializers.RegexField) and not _is_in_form(field, value):
        return f"{field.error_messages['invalid']} {field.help_text or ''}".rstrip()
    if value and not field.allow_blank and field.trim_whitespace and not VISIBLE.search(value):
        return "Needs a character that can be seen."
    return None


def asked(form: type[serializers.Serializer[Any]], query: QueryDict) -> dict[str, Any]:
    """What a query asks for, read by the form; ValidationError for anything else, or given twice."""
    read = form(data=only(form().fields, query).dict())
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)
