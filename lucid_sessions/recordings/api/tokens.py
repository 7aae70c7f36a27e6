"""Signing in, refreshing and signing out, for programs."""

from typing import Any

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lucid_sessions.access import audit, lockout, tokens
from lucid_sessions.access.roles import manages

from .documents import CONFIGURATION_ERRORS, NOT_SIGNED_IN, problem
from .problems import MEDIA_TYPE
from .strict import Strict
from .witnessed import Witnessed

ERRORS = {key: answer for key, answer in CONFIGURATION_ERRORS.items() if key[0] != 403}


class Credentials(Strict):
    """Who signs in."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, write_only=True)


class RefreshToken(Strict):
    """The refresh token of the pair that was handed out last."""

    refresh = serializers.CharField(max_length=4000)


class TokenPair(serializers.Serializer[Any]):
    """What to keep: `access` goes into `Authorization: Bearer`, `refresh` buys the next pair, once."""

    access = serializers.CharField(read_only=True)
    refresh = serializers.CharField(read_only=True)


class _Open(APIView):
    """These ask for no token: they are how one is got, and a stale one in the header must not stop them."""

    authentication_classes = ()
    permission_classes = ()

    def get_authenticate_header(self, _request: Request) -> str:
        """What a 401 of these answers with."""
        return 'Bearer realm="api"'


class SignIn(_Open):
    """Sign in."""

    @extend_schema(operation_id="auth_token", request=Credentials, responses={200: TokenPair, **ERRORS})
    def post(self, request: Request) -> Response:
        """Get a pair of tokens for a user name and a password."""
        body = Credentials(data=request.data)
        body.is_valid(raise_exception=True)
        user: Any = authenticate(request._request, **body.validated_data)
        if user is None:
            lockout.tell_refused(request._request, username=body.validated_data["username"])
            raise AuthenticationFailed(
                "User name or password is wrong, or the account is closed, or there were too many attempts."
            )
        _note(request, audit.DONE, user=user)
        return Response(TokenPair(tokens.sign_in(user)).data)


def _note(
    request: Request,
    outcome: str,
    *,
    deed: str = "signed-in",
    user: Any = None,
    claimed: str = "",
    facts: Any = None,
) -> None:
    actor = audit.actor_of(request._request, user=user, claimed=claimed)
    if user is None and not claimed:
        audit.turned_away(deed, actor=actor, method="POST", outcome=outcome, facts=facts)
    else:
        audit.record(deed, actor=actor, outcome=outcome, facts=facts)


class Refresh(_Open):
    """Refresh."""

    @extend_schema(operation_id="auth_refresh", request=RefreshToken, responses={200: TokenPair, **ERRORS})
    def post(self, request: Request) -> Response:
        """Get the next pair. The refresh token works once; used twice, all of its sign-in is revoked."""
        body = RefreshToken(data=request.data)
        body.is_valid(raise_exception=True)
        text = body.validated_data["refresh"]
        try:
            pair = tokens.refresh(text)
        except AuthenticationFailed:
            _note(request, audit.DENIED, deed="token-refreshed", claimed=tokens.claimed_by(text))
            raise
        _note(request, audit.DONE, deed="token-refreshed", user=pair.user)
        return Response(TokenPair(pair).data)


class SignOut(_Open):
    """Sign out."""

    @extend_schema(operation_id="auth_logout", request=RefreshToken, responses={204: None, **ERRORS})
    def post(self, request: Request) -> Response:
        """Revoke what came of this sign-in. Access tokens handed out end by themselves in minutes."""
        body = RefreshToken(data=request.data)
        body.is_valid(raise_exception=True)
        user = tokens.sign_out(body.validated_data["refresh"])
        _note(request, audit.DONE if user else audit.REFUSED, deed="signed-out", user=user)
        return Response(status=204)


class Flower(Witnessed):
    """Whether to let somebody through to Flower, for a proxy to ask (nginx: auth_request)."""

    @extend_schema(
        operation_id="auth_flower",
        responses={
            204: None,
            **NOT_SIGNED_IN,
            (403, MEDIA_TYPE): problem("Neither admin nor manager, or an API token."),
        },
    )
    def get(self, request: Request) -> Response:
        """Ask whether the signed-in user may see Flower: 204 for administrators and managers, in person."""
        if getattr(request.auth, "scopes", None) is not None:
            raise PermissionDenied("No scope of an API token covers Flower: sign in.")
        if not manages(request.user):
            raise PermissionDenied("Flower is for administrators and session managers.")
        return Response(status=204)
