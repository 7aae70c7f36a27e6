"""The audit: what was done, by whom, from where, why. Written before the answer is given.

Repeated looks at the same thing by the same user are one event a minute; everything else is one each.
`recordings.audit_batches` chains the events and has the ledger fix them.
"""

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import Error as DatabaseFailure
from django.http import HttpRequest

from . import clients, group_commit
from .links import Link
from .models import ApiToken, AuditEvent
from .request_identity import request_id

log = structlog.get_logger(__name__)

LOOK_SECONDS = 60.0
MOST_LOOKS = 20_000
MOST_WHY = 500
LONGEST_NAME = 150
DONE, REFUSED, DENIED, FAILED = "done", "refused", "denied", "failed"

_looks: dict[tuple[str, ...], float] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Actor:
    """Who acts, and from where."""

    user: str = ""
    # Without a user's id: the name that a stranger claimed.
    username: str = ""
    means: str = ""
    address: str = ""
    request_id: str = ""


def actor_of(request: HttpRequest, *, auth: Any = None, user: Any = None, claimed: str = "") -> Actor:
    """Who sent this request; `user` and `auth` as DRF found them.

    `claimed` is the user name that a stranger gave: the event is found by it, and has no user's id.
    """
    who = user if user is not None else getattr(request, "user", None)
    known = bool(who and who.is_authenticated)
    return Actor(
        user=str(who.pk) if known and who else "",
        username=who.get_username() if known and who else claimed[:LONGEST_NAME],
        means=_means(auth) if known else "",
        address=clients.address_of(request),
        request_id=request_id(request),
    )


def _means(auth: Any) -> str:
    if isinstance(auth, ApiToken):
        return "api-token"
    if isinstance(auth, Link):
        return "link"
    return "token" if auth else "browser"


def record(action: str, *, actor: Actor, outcome: str = DONE, **more: Any) -> AuditEvent:
    """The event, written. `more`: session, item, why, facts."""
    event = event_of(action, actor=actor, outcome=outcome, **more)
    group_commit.write([event])
    return event


def event_of(action: str, *, actor: Actor, outcome: str = DONE, **more: Any) -> AuditEvent:
    """The event, to be written with what it tells of."""
    more["why"] = str(more.get("why") or "")[:MOST_WHY]
    return AuditEvent(
        at_us=time.time_ns() // 1000,
        action=action,
        outcome=outcome,
        user=actor.user,
        username=actor.username,
        means=actor.means,
        address=actor.address,
        request_id=actor.request_id,
        **more,
    )


def look(action: str, *, actor: Actor, seen: str = "", outcome: str = DONE, **more: Any) -> None:
    """The event of a look, written unless the same one was within the last minute. `seen`: at what."""
    same = (actor.user, actor.address, action, more.get("session", ""), seen, outcome, more.get("why", ""))
    if not is_news(*same):
        return
    try:
        record(action, actor=actor, outcome=outcome, **more)
    except DatabaseFailure:
        forget_looks(*same)
        raise


def is_news(*look: str) -> bool:
    """True unless this process has noted the same look within the last minute."""
    now = time.monotonic()
    with _lock:
        if _looks.get(look, 0.0) > now:
            return False
        if len(_looks) >= MOST_LOOKS:
            _looks.clear()
        _looks[look] = now + LOOK_SECONDS
        return True


def forget_looks(*look: str) -> None:
    """The next look counts again: this one's event could not be written. Without a name: all of them."""
    with _lock:
        if look:
            _looks.pop(look, None)
        else:
            _looks.clear()


FIXED = tuple(
    "at_us action outcome user username means address session item why facts request_id salt".split()  # noqa: SIM905
)


def digest(event: AuditEvent) -> str:
    """SHA-256 over all that the event says, and its salt: without that nobody can guess back from it."""
    facts = {"id": str(event.pk), **{name: getattr(event, name) for name in FIXED}}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
