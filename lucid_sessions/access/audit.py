"""The audit: what was done, by whom, from where, why. Written before the answer is given.

Repeated looks at the same thing by the same user are one event a minute, and so is one stranger's asking for
the same in vain; everything else is one each.
`recordings.audit_batches` chains the events and has the ledger fix them.
"""

import hashlib
import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import Error as DatabaseFailure
from django.http import HttpRequest

from lucid_sessions.errors import LucidError, Retryable

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
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

# Looks by their digests, and when each counts again: that of the first is over first.
_looks: OrderedDict[bytes, float] = OrderedDict()
# How often strangers were turned away without an event, since the last one that was written.
_unwritten: OrderedDict[bytes, int] = OrderedDict()
_lock = threading.Lock()


def outcome_of(error: LucidError) -> str:
    """How a deed ended that came to this: it failed where it may succeed later; else it was refused."""
    return FAILED if isinstance(error, Retryable) else REFUSED


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


def turned_away(
    action: str, *, actor: Actor, method: str, like: str = "", outcome: str = DENIED, **more: Any
) -> None:
    """The event of a stranger who got nothing: once a minute for one address (`network_of`), deed and method.

    The next one's facts say how many were not written since (`unwritten`): nothing else limits strangers.
    `like`: as what the deed counts, where there are very many.
    """
    # What is no method is made up, and no two need be the same.
    known = method if method in METHODS else ""
    same = ("turned away", clients.network_of(actor.address), like or action, known)
    if not is_news(*same):
        _count_unwritten(same, 1)
        return
    with _lock:
        unwritten = _unwritten.pop(_key(same), 0)
    if unwritten:
        more["facts"] = {**(more.get("facts") or {}), "unwritten": unwritten}
    try:
        record(action, actor=actor, outcome=outcome, **more)
    except DatabaseFailure:
        forget_looks(*same)
        _count_unwritten(same, unwritten + 1)
        raise


def _count_unwritten(look: tuple[str, ...], number: int) -> None:
    with _lock:
        key = _key(look)
        _unwritten[key] = _unwritten.get(key, 0) + number
        if len(_unwritten) > MOST_LOOKS:
            _unwritten.popitem(last=False)


def is_news(*look: str) -> bool:
    """True unless this process has noted the same look within the last minute."""
    now, key = time.monotonic(), _key(look)
    with _lock:
        while _looks and (len(_looks) >= MOST_LOOKS or next(iter(_looks.values())) <= now):
            _looks.popitem(last=False)
        if key in _looks:
            return False
        _looks[key] = now + LOOK_SECONDS
        return True


def forget_looks(*look: str) -> None:
    """The next look counts again: this one's event could not be written. Without a name: all of them."""
    with _lock:
        if look:
            _looks.pop(_key(look), None)
        else:
            _looks.clear()
            _unwritten.clear()


def _key(look: tuple[str, ...]) -> bytes:
    # Strangers choose how long their requests are, and these are kept.
    return hashlib.sha256(json.dumps(look).encode()).digest()


FIXED = tuple(
    "at_us action outcome user username means address session item why facts request_id salt".split()  # noqa: SIM905
)


def digest(event: AuditEvent) -> str:
    """SHA-256 over all that the event says, and its salt: without that nobody can guess back from it."""
    facts = {"id": str(event.pk), **{name: getattr(event, name) for name in FIXED}}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
