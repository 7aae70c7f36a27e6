"""Guessing passwords does not pay: failures are counted on the name and on the address, and close both.

The count is a row of the database, so all processes share it and no cache needs to be there. The audit has
each guess that counted, and that a door was closed; of what comes before a closed door one event a minute.
"""

import hashlib
from dataclasses import dataclass
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

from . import audit, clients
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
        keys = [limit.key for limit in limits]
        if is_closed(keys):
            log.warning("sign-in refused: closed after failures", username=str(username)[:150])
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is not None:
            # The name only: whoever knows one password must not open the door to guessing others'.
            FailedSignIns.objects.filter(pk=keys[0]).delete()
            return user
        closed = [limit.of for limit in limits if _note_failure(limit)]
        if request is not None:
            request._lucid_guessed = True  # type: ignore[attr-defined]
            for of in closed:
                _tell_closed(request, str(username), of=of)
        return None


@dataclass(frozen=True)
class Limit:
    """So many failures close the door: of a name, or of an address."""

    of: str
    key: str
    most: int


def tell_refused(request: HttpRequest, *, username: str, **more: Any) -> None:
    """Write the event of a stranger who was not let in: each guess, and what was none once a minute.

    None are forms that were not filled in, and whatever comes before a closed door.
    """
    actor = audit.actor_of(request, claimed=username)
    facts = {"username": username[: audit.LONGEST_NAME]}
    if getattr(request, "_lucid_guessed", False):
        audit.record("signed-in", actor=actor, outcome=audit.DENIED, facts=facts, **more)
    else:
        audit.turned_away("signed-in", actor=actor, method="POST", facts=facts, **more)


def _tell_closed(request: HttpRequest, username: str, *, of: str) -> None:
    actor = audit.actor_of(request, claimed=username)
    name, seconds = username[: audit.LONGEST_NAME], settings.LUCID_SIGN_IN_LOCK_SECONDS
    facts = {"username": name, "of": of, "seconds": seconds}
    audit.record("sign-in.closed", actor=actor, outcome=audit.DENIED, facts=facts)


def _limits(username: str, address: str) -> list[Limit]:
    most = settings.LUCID_SIGN_IN_FAILURES
    limits = [Limit("name", _key("name", username.lower()), most)]
    if address:
        key = _key("address", clients.network_of(address))
        limits.append(Limit("address", key, most * ADDRESS_FACTOR))
    return limits


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode(errors="replace")).hexdigest()


def is_closed(keys: list[str]) -> bool:
    """True while one of these is closed."""
    return FailedSignIns.objects.filter(pk__in=keys, locked_until__gt=timezone.now()).exists()


def _note_failure(limit: Limit) -> bool:
    """True when that closes the door."""
    now = timezone.now()
    old = Q(since__lt=now - FORGOTTEN) & (Q(locked_until__isnull=True) | Q(locked_until__lt=now))
    FailedSignIns.objects.filter(old).delete()
    rows = FailedSignIns.objects.filter(pk=limit.key)
    if not rows.update(failures=F("failures") + 1):
        try:
            with transaction.atomic():
                FailedSignIns.objects.create(key=limit.key, failures=1)
        except IntegrityError:
            rows.update(failures=F("failures") + 1)
    end = now + timedelta(seconds=settings.LUCID_SIGN_IN_LOCK_SECONDS)
    # Whoever comes after the lock has as many tries again.
    if not rows.filter(failures__gte=limit.most).update(failures=0, locked_until=end):
        return False
    log.warning("sign-in closed after failures", seconds=settings.LUCID_SIGN_IN_LOCK_SECONDS)
    return True
