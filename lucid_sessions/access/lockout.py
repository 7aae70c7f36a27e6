"""Guessing passwords does not pay: failures are counted on the name and on the address, and close both.

The count is a row of the database, so all processes share it and no cache needs to be there.
"""

import hashlib
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils import timezone

from . import clients
from .models import FailedSignIns

log = structlog.get_logger(__name__)

# Many people may come from one address.
ADDRESS_FACTOR = 10
# Counts that are older than this, and lock nothing, are forgotten.
FORGOTTEN = timedelta(hours=1)


class GuardedBackend(ModelBackend):
    """Django's own users and permissions, behind a door that closes after failed attempts.

    Console, admin and API all sign in through it. While it is closed even the right password is refused,
    with the same words, so that a guesser learns nothing.
    """

    def authenticate(
        self, request: HttpRequest | None, username: Any = None, password: Any = None, **kwargs: Any
    ) -> Any:
        """The user; None for a wrong password; PermissionDenied while name or address is closed."""
        if username is None or password is None:
            return None
        limits = _limits(str(username), clients.address_of(request) if request else "")
        if is_closed(list(limits)):
            log.warning("sign-in refused: closed after failures", username=str(username)[:150])
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is None:
            for key, limit in limits.items():
                _note_failure(key, limit=limit)
        else:
            # The name only: whoever knows one password must not open the door to guessing others'.
            FailedSignIns.objects.filter(pk=next(iter(limits))).delete()
        return user


def _limits(username: str, address: str) -> dict[str, int]:
    most = settings.LUCID_SIGN_IN_FAILURES
    limits = {_key("name", username.lower()): most}
    if address:
        limits[_key("address", address)] = most * ADDRESS_FACTOR
    return limits


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode(errors="replace")).hexdigest()


def is_closed(keys: list[str]) -> bool:
    """True while one of these is closed."""
    return FailedSignIns.objects.filter(pk__in=keys, locked_until__gt=timezone.now()).exists()


def _note_failure(key: str, *, limit: int) -> None:
    now = timezone.now()
    old = Q(since__lt=now - FORGOTTEN) & (Q(locked_until__isnull=True) | Q(locked_until__lt=now))
    FailedSignIns.objects.filter(old).delete()
    rows = FailedSignIns.objects.filter(pk=key)
    if not rows.update(failures=F("failures") + 1):
        try:
            with transaction.atomic():
                FailedSignIns.objects.create(key=key, failures=1)
        except IntegrityError:
            rows.update(failures=F("failures") + 1)
    end = now + timedelta(seconds=settings.LUCID_SIGN_IN_LOCK_SECONDS)
    # Whoever comes after the lock has as many tries again.
    if rows.filter(failures__gte=limit).update(failures=0, locked_until=end):
        log.warning("sign-in closed after failures", seconds=settings.LUCID_SIGN_IN_LOCK_SECONDS)
