"""Bearer tokens for programs: ten minutes of access, and a refresh token that works once.

Each sign-in begins a family; refreshing hands out the family's next pair and spends the old refresh
token. A spent token that comes back was copied: then the whole family is revoked, whoever holds it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog
from django.contrib.auth.models import update_last_login
from django.utils import timezone
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from .models import RevokedToken, User
from .spent import spend

log = structlog.get_logger(__name__)

FAMILY = "fam"


@dataclass(frozen=True)
class Pair:
    """What a client keeps: `access` goes into each request, `refresh` buys the next pair."""

    access: str
    refresh: str
    user: User


def sign_in(user: User) -> Pair:
    """The first pair of a new family."""
    update_last_login(None, user)  # type: ignore[arg-type]
    return _pair(user, family=uuid4().hex)


def refresh(text: str) -> Pair:
    """The next pair, for a refresh token that is spent by this.

    InvalidToken when it is no longer good, AuthenticationFailed when its user's account is closed.
    """
    token = _checked(text)
    family = str(token.get(FAMILY, ""))
    if not family or _is_revoked(family):
        raise InvalidToken("The refresh token was revoked. Sign in again.")
    if not _revoke(token["jti"], until=token["exp"]):
        _revoke(family, until=_latest_end())
        log.warning("a refresh token was used twice", user=token["sub"], family=family)
        raise InvalidToken("The refresh token was used before, so its family is revoked. Sign in again.")
    # The user may have been deactivated since: this asks, as every request does.
    user: Any = JWTAuthentication().get_user(token)
    return _pair(user, family=family)


def sign_out(text: str) -> User | None:
    """Whose token it was: nothing of its family can be refreshed any more. None: it was no good anyway."""
    try:
        token = _checked(text)
    except InvalidToken:
        return None
    _revoke(str(token.get(FAMILY, token["jti"])), until=_latest_end())
    return User.objects.filter(pk=token["sub"]).first()


def claimed_by(text: str) -> str:
    """The user name of a refresh token that was refused, when it is one of ours."""
    try:
        token = _checked(text)
    except InvalidToken:
        return ""
    user = User.objects.filter(pk=token["sub"]).first()
    return user.get_username() if user else ""


def _checked(text: str) -> RefreshToken:
    try:
        # The stubs want a Token; the library takes the text.
        return RefreshToken(text)  # type: ignore[arg-type]
    except TokenError as error:
        raise InvalidToken(f"The refresh token is not valid: {error}. Sign in again.") from error


def _pair(user: User, *, family: str) -> Pair:
    token = RefreshToken.for_user(user)
    token[FAMILY] = family
    return Pair(access=str(token.access_token), refresh=str(token), user=user)


def _is_revoked(jti: str) -> bool:
    return RevokedToken.objects.filter(jti=jti).exists()


def _revoke(jti: str, *, until: int) -> bool:
    return spend(jti, until=datetime.fromtimestamp(until, UTC))


def _latest_end() -> int:
    """When the youngest refresh token there can be ends."""
    return int((timezone.now() + RefreshToken.lifetime).timestamp())
