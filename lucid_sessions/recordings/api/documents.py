"""What the OpenAPI document says beside the types: problems, examples, media."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from .permissions import verbs_of
from .problems import MEDIA_TYPE
from .ranges import Whatever


class BearerScheme(OpenApiAuthenticationExtension):
    """Access tokens of people and API tokens of machines."""

    target_class = "lucid_sessions.access.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, _auto_schema: AutoSchema) -> dict[str, Any]:
        """As OpenAPI has it."""
        return {"type": "http", "scheme": "bearer", "description": "An access token, or an API token."}


class LinkScheme(OpenApiAuthenticationExtension):
    """One-time links."""

    target_class = "lucid_sessions.access.authentication.LinkAuthentication"
    name = "link"

    def get_security_definition(self, _auto_schema: AutoSchema) -> dict[str, Any]:
        """As OpenAPI has it."""
        return {"type": "apiKey", "in": "query", "name": "link", "description": "From /links, good once."}


class Fault(serializers.Serializer[Any]):
    """What is wrong with one field."""

    field = serializers.CharField(help_text="Dotted name; empty for the body as a whole.")
    detail = serializers.CharField()


class ProblemBody(serializers.Serializer[Any]):
    """An RFC 9457 problem document."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What happened, to what, and what to do.")
    instance = serializers.CharField()
    code = serializers.CharField(help_text="LUCID_ERR_ and four digits; stable.")
    request_id = serializers.CharField(help_text="Give it when you report a problem; the log has it too.")
    errors: Any = Fault(many=True, required=False, help_text="Field by field, for invalid bodies.")


def problem(text: str) -> OpenApiResponse:
    """A problem answer with its meaning."""
    return OpenApiResponse(ProblemBody, description=text)


Key = tuple[int, str]
NOT_SIGNED_IN: dict[Key, OpenApiResponse] = {
    (401, MEDIA_TYPE): problem("No token, or one that is no longer good.")
}
COMMON: dict[Key, OpenApiResponse] = {
    **NOT_SIGNED_IN,
    (403, MEDIA_TYPE): problem("Your role does not allow this."),
    (429, MEDIA_TYPE): problem("LUCID_ERR_3010: asked too often; `Retry-After` says when to come back."),
    (503, MEDIA_TYPE): problem("Database or storage is away: try again after `Retry-After` seconds."),
}
CONFIGURATION_ERRORS = {(400, MEDIA_TYPE): problem("LUCID_ERR_3002: a field is wrong."), **COMMON}
ONE_SESSION_ERRORS = {
    (404, MEDIA_TYPE): problem("LUCID_ERR_3001: there is none, or it is another's."),
    **COMMON,
}
ACCEPTED = {
    (400, MEDIA_TYPE): problem("LUCID_ERR_3002: a field is wrong."),
    (409, MEDIA_TYPE): problem("LUCID_ERR_3004: the session is in a state in which that cannot be."),
}

ONCE = OpenApiParameter(
    "Idempotency-Key",
    # Printable ASCII; spaces around a header's value are lost on the way.
    {"type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$", "minLength": 1, "maxLength": 255},
    OpenApiParameter.HEADER,
    description="Of your choosing: the same request with the same key is answered again, and made once.",
)
ONCE_ERRORS = {
    (409, MEDIA_TYPE): problem("LUCID_ERR_1011: the first request with this key is still being answered."),
    (422, MEDIA_TYPE): problem("LUCID_ERR_1010: the key came with another body before."),
}
ONCE_SHOWN_ERRORS = {
    **ONCE_ERRORS,
    (409, MEDIA_TYPE): problem(
        "LUCID_ERR_1011: the first request with this key is still being answered. LUCID_ERR_3003: it was "
        "answered, with a secret that is shown once; what it made was revoked since; or there are as many as "
        "there can be."
    ),
}
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag that you have seen: nothing is changed if it is another by now.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The ETags that you have."
)
NOT_MODIFIED = {304: OpenApiResponse(description="You have it: nothing has changed since that ETag.")}
IF_MATCH_ERRORS = {(412, MEDIA_TYPE): problem("LUCID_ERR_1009: it was changed meanwhile.")}
CONDITIONS = [
    IF_NONE_MATCH,
    OpenApiParameter(
        "If-Match", str, OpenApiParameter.HEADER, description="Only what has this ETag is wanted."
    ),
]
CONDITIONS_ERRORS: dict[Any, OpenApiResponse] = {**NOT_MODIFIED, **IF_MATCH_ERRORS}

NEW_SESSION_EXAMPLES = [
    OpenApiExample(
        "a drawn desktop",
        request_only=True,
        value={
            "name": "deploy db-7",
            "source": {"kind": "synthetic"},
            "recording_config": {"frame_rate": 10, "resolution": "1280x720", "quality": "high"},
            "storage_config": {"retention_days": 90},
            "metadata": {"project": "payments", "environment": "production", "tags": ["db", "deploy"]},
        },
    )
]


# What a view says of an operation, for `schema_rules` to complete the document by.
FACTS = "x-lucid-facts"


class Described(AutoSchema):
    """Adds to each operation the permission that it needs, and what its view says of it."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """The operation with `FACTS`: whether it is audited, limited, and weighs what is accepted."""
        operation = super().get_operation(*args, **kwargs)
        action = getattr(self.view, "action", None)
        if operation is not None:
            operation[FACTS] = {
                "deed": action in getattr(self.view, "deeds", {}),
                "rate": action in getattr(self.view, "rates", {}),
                "negotiates": not issubclass(self.view.content_negotiation_class, Whatever),
            }
        return operation

    def get_filter_backends(self) -> list[Any]:
        """Those of lists, and of the other actions that the view filters."""
        view: Any = self.view
        if getattr(view, "action", None) in getattr(view, "filtered", ()):
            return list(view.filter_backends)
        return super().get_filter_backends()

    def _is_list_view(self, serializer: Any = None) -> bool:
        """As ever, by the answer when all is well: by name those with a media type would come before it."""
        found: Any = self.get_response_serializers() if serializer is None else serializer
        if isinstance(found, dict):
            found = {key: one for key, one in found.items() if not isinstance(key, tuple)} or found
        return super()._is_list_view(found)

    def get_operation_id(self) -> str:
        """Resource and action, such as `sessions_start`."""
        return f"{type(self.view).__name__}_{getattr(self.view, 'action', self.method)}".lower()

    def get_description(self) -> str:  # type: ignore[override]
        """The docstring, and who may."""
        text = str(super().get_description() or "")
        if who := getattr(self.view, "who", ""):
            return f"{text}\n\nPermission: {who}"
        permissions = " or ".join(f"`recordings.{verb}_session`" for verb in verbs_of(self.view))
        return f"{text}\n\nPermission: {permissions}." if permissions else text
