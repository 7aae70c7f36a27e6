"""Who asks: bearer tokens of people (JWT) and of machines, and one-time links, each looked up sparingly."""

import hashlib
import time
from typing import Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from . import api_tokens, links
from .roles import sees_all

MOST_KNOWN = 10_000
OVER = (
    "The access token is over, or none of this server's. "
    "POST /api/v1/auth/refresh or /api/v1/auth/token gives another."
)
Known = tuple[float, Any, Any]
_known: dict[bytes, Known] = {}


class BearerAuthentication(JWTAuthentication):
    """`Authorization: Bearer` with an access token or an API token.

    A token that was found good is believed for LUCID_TOKEN_CACHE_SECONDS in this process, with the user's
    permissions as they were: a closed account or a changed role counts that much later.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """The user and the token; None when the request has none."""
        header = self.get_header(request)
        raw = self.get_raw_token(header) if header else None
        if raw is None:
            return None
        key = hashlib.sha256(raw).digest()
        known = _known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1], known[2]
        asked = time.monotonic()
        user, auth = self._looked_up(raw)
        _remember(key, user, auth, asked=asked)
        return user, auth

    def get_raw_token(self, header: bytes) -> bytes | None:
        """The token in the header, whose scheme may be written in any case; None for another scheme."""
        scheme, *rest = header.split(maxsplit=1) or [b""]
        return super().get_raw_token(b" ".join([scheme.capitalize(), *rest]))

    def _looked_up(self, raw: bytes) -> tuple[Any, Any]:
        if raw.startswith(api_tokens.PREFIX.encode()):
            row = api_tokens.find(raw.decode("latin-1"))
            if row is None:
                raise InvalidToken("The API token is unknown, revoked or over.")
            return row.user, row
        try:
            token = self.get_validated_token(raw)
        except InvalidToken as error:
            raise InvalidToken(OVER) from error
        return self.get_user(token), token


def _remember(key: bytes, user: Any, auth: Any, *, asked: float) -> None:
    # From when it was asked: on a machine that stood still the answer is old when it is read.
    until, now = asked + settings.LUCID_TOKEN_CACHE_SECONDS, time.monotonic()
    if isinstance(auth, dict) or hasattr(auth, "payload"):
        until = min(until, now + auth["exp"] - time.time())
    if until <= now:
        return
    # What each request asks of the user is looked up once, and stays with the object.
    user.get_all_permissions()
    sees_all(user)
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[key] = (until, user, auth)


def forget_all() -> None:
    """Every token is looked up again by this process."""
    _known.clear()


class LinkAuthentication(BaseAuthentication):
    """`?link=`: a signed address that its user asked for, good once, for one object, for a minute."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """The user who asked for the link; None when the request has none."""
        text = request.query_params.get("link")
        if text is None or request.method != "GET":
            return None
        spent = links.spend(text, path=request.path)
        if spent is None:
            raise AuthenticationFailed("The link was used before, is over, or leads elsewhere.")
        return spent

    def authenticate_header(self, _request: Request) -> str:
        """What a 401 answers with."""
        return 'Bearer realm="api"'
