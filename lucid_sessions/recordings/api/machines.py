"""API tokens over HTTP: named, scoped, expiring tokens that a user makes for machines."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from lucid_sessions.access import api_tokens
from lucid_sessions.access.models import ApiToken
from lucid_sessions.access.roles import VERBS

from .documents import COMMON, CONFIGURATION_ERRORS, ONCE, ONCE_SHOWN_ERRORS, Described, problem
from .pagination import Pages
from .problems import CONFLICT, MEDIA_TYPE, NO_SUCH_THING, Problem
from .replays import once
from .strict import Strict
from .witnessed import Witnessed, tell


class InPerson(BasePermission):
    """Signed in by password: a machine's token must not beget tokens that outlive it."""

    message = "API tokens are made and revoked by a person who signed in, not with an API token."

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        user = request.user
        return bool(user and user.is_authenticated and getattr(request.auth, "scopes", None) is None)


class NewToken(Strict):
    """A token to be made."""

    name = serializers.CharField(max_length=100, help_text="What uses it.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=VERBS),
        min_length=1,
        max_length=len(VERBS),
        help_text="What it may do, of what you may.",
    )
    days = serializers.IntegerField(min_value=1, max_value=api_tokens.MOST_DAYS, default=90)


class TokenBody(serializers.ModelSerializer[ApiToken]):
    """A token without its text, which is kept nowhere."""

    class Meta:
        model = ApiToken
        fields = ("id", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
        read_only_fields = fields


class MadeToken(TokenBody):
    """A new token: its text is shown this once."""

    token = serializers.CharField(read_only=True)

    class Meta:
        model = ApiToken
        fields = (*TokenBody.Meta.fields, "token")
        read_only_fields = fields


class Tokens(Witnessed, GenericViewSet[ApiToken]):
    """The caller's own API tokens."""

    serializer_class = TokenBody
    pagination_class = Pages
    queryset = ApiToken.objects.all()
    permission_classes = [InPerson]
    schema = Described()
    deeds = {"list": "api-tokens.listed", "create": "api-token.created", "destroy": "api-token.revoked"}
    rates = {"list": "status", "create": "create"}

    @extend_schema(operation_id="tokens_list", responses={200: TokenBody(many=True), **CONFIGURATION_ERRORS})
    def list(self, request: Request) -> Any:
        """List your API tokens, newest first, the revoked ones too."""
        page: Any = self.paginate_queryset(ApiToken.objects.filter(user=request.user.pk))
        return self.get_paginated_response(TokenBody(page, many=True).data)

    @extend_schema(
        request=NewToken,
        parameters=[ONCE],
        responses={201: MadeToken, **CONFIGURATION_ERRORS, **ONCE_SHOWN_ERRORS},
    )
    def create(self, request: Request) -> Response:
        """Make an API token for a machine. Its text is shown in this answer only."""
        return once(request, lambda made: self._created(request, made), secret=True)

    def _created(self, request: Request, made: UUID) -> Response:
        row = ApiToken.objects.filter(pk=made, user=request.user.pk).first()
        row, text = _new(request, made) if row is None else (row, _renewed(row))
        tell(request, facts={"token": str(row.pk), "name": row.name, "scopes": row.scopes})
        return Response({**TokenBody(row).data, "token": text}, 201)

    @extend_schema(
        responses={204: None, (404, MEDIA_TYPE): problem("LUCID_ERR_1012: none of yours."), **COMMON}
    )
    def destroy(self, request: Request, token_id: UUID) -> Response:
        """Revoke an API token."""
        row = ApiToken.objects.filter(pk=token_id, user=request.user.pk).first()
        if row is None:
            raise Problem(NO_SUCH_THING, f"You have no API token {token_id}.")
        api_tokens.revoke(row)
        return Response(status=204)


def _new(request: Request, made: UUID) -> tuple[ApiToken, str]:
    body = NewToken(data=request.data)
    body.is_valid(raise_exception=True)
    given = body.validated_data
    user: Any = request.user
    until = timezone.now() + timedelta(days=given["days"])
    return api_tokens.create(user, name=given["name"], scopes=given["scopes"], expires_at=until, id=made)


def _renewed(row: ApiToken) -> str:
    """A text for what an earlier request under the same key has made, whose answer did not get so far."""
    if row.revoked_at is not None:
        raise Problem(CONFLICT, f"Token {row.pk}, which this Idempotency-Key made, was revoked since.")
    return api_tokens.renew(row)
