"""One-time addresses: for a download by a program that has no token, such as a browser's own."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.core import signing
from django.utils import timezone

from .models import User
from .spent import spend as spend_once

SECONDS = 60
_SALT = "lucid one-time link"


@dataclass(frozen=True)
class Link:
    """A link that was just used up. It may do no more than the token that it was asked for with."""

    scopes: tuple[str, ...] | None


def sign(user: Any, *, path: str, scopes: Any = None) -> str:
    """What to append as `link=` to exactly this path: it acts as this user, once, within SECONDS."""
    facts = {"u": str(user.pk), "p": path, "n": uuid4().hex, "s": scopes}
    return signing.dumps(facts, salt=_SALT)


def spend(text: str, *, path: str) -> tuple[User, Link] | None:
    """The user whose link this is, which is used up by it; None when it is no good for this path."""
    try:
        facts = signing.loads(text, salt=_SALT, max_age=SECONDS)
    except signing.BadSignature:
        return None
    if facts["p"] != path:
        return None
    if not spend_once(f"link:{facts['n']}", until=timezone.now() + timedelta(seconds=2 * SECONDS)):
        return None
    user = User.objects.filter(pk=facts["u"], is_active=True).first()
    return (user, Link(None if facts["s"] is None else tuple(facts["s"]))) if user else None
