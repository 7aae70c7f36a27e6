"""Named tokens for machines: shown once, kept as a hash, scoped, expiring, revocable."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from lucid_sessions.errors import Retryable

from .models import ApiToken, User, uuid7
from .roles import VERBS

PREFIX = "lucid_"
MOST_DAYS = 366
# How exactly "last used" is known; each use would cost a write otherwise.
USE_NOTED = timedelta(minutes=1)


def create(
    user: User,
    *,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime,
    id: UUID | None = None,  # noqa: A002
) -> tuple[ApiToken, str]:
    """The token's row and its text, which is nowhere kept: 256 random bits need no slow hash.

    Retryable when there is one of this id.
    """
    text = PREFIX + secrets.token_urlsafe(32)
    known = sorted(set(scopes) & set(VERBS))
    facts = {"name": name, "digest": _digest(text), "scopes": known, "expires_at": expires_at}
    try:
        with transaction.atomic():
            row = ApiToken.objects.create(id=id or uuid7(), user=user, **facts)
    except IntegrityError as error:
        raise Retryable("Another request made this token at the same moment. Ask again.") from error
    return row, text


def renew(row: ApiToken) -> str:
    """Another text for a token whose text nobody was told. Retryable when another was quicker."""
    text = PREFIX + secrets.token_urlsafe(32)
    same = ApiToken.objects.filter(pk=row.pk, digest=row.digest, revoked_at__isnull=True)
    if not same.update(digest=_digest(text)):
        raise Retryable("Another request renewed this token at the same moment. Ask again.")
    return text


def find(text: str) -> ApiToken | None:
    """The token that this is, with its user; None unless it is good now."""
    now = timezone.now()
    good = ApiToken.objects.filter(digest=_digest(text), revoked_at__isnull=True, expires_at__gt=now)
    row = good.prefetch_related("user").first()
    if row is None or not row.user.is_active:
        return None
    unnoted = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_NOTED)
    ApiToken.objects.filter(unnoted, pk=row.pk).update(last_used_at=now)
    return row


def revoke(row: ApiToken) -> None:
    """It is good no more."""
    ApiToken.objects.filter(pk=row.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())


def allows(auth: Any, verb: str) -> bool:
    """False when the request came with something that was not given this scope."""
    scopes = getattr(auth, "scopes", None)
    return scopes is None or verb in scopes


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
