"""Request bodies that say no to what they do not know, instead of silently dropping it."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


class Strict(serializers.Serializer[Any]):
    """A body of which every field must be known and settable. `refused` gives known ones their own reason."""

    refused: Mapping[str, str] = {}

    def to_internal_value(self, data: Any) -> Any:
        """The checked values; every fault with its field."""
        if isinstance(data, Mapping):
            faults = {str(name): why for name in data if (why := self._why_not(str(name)))}
            if faults:
                raise serializers.ValidationError(faults)
        return super().to_internal_value(data)

    def _why_not(self, name: str) -> str | None:
        if name in self.refused:
            return self.refused[name]
        field = self.fields.get(name)
        if field is None:
            known = ", ".join(known for known, field in self.fields.items() if not field.read_only)
            return f"is not known here. Known: {known}."
        return "cannot be set." if field.read_only else None
