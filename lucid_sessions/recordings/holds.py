"""Legal holds: while a session is under one, nothing of it may go, whatever retention, quota or anyone says.

Holds live in the session's row, and everything that begins an expiry is a conditional update on that row's
version: so a hold and an expiry cannot both win. Releasing needs another person than the one who placed it.
Both are ledger records.
"""

import uuid
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.utils import timezone

from lucid_sessions.access.visible import VISIBLE
from lucid_sessions.errors import Refused, Retryable

from . import ledger_rows
from .events import CHANGED
from .models import Session
from .tombstones import GONE

log = structlog.get_logger(__name__)

ATTEMPTS = 5
PERMISSION = "recordings.hold_session"
MOST_WHY = 500

Hold = dict[str, Any]


class Person(Protocol):
    """Who places or releases: a user of ours."""

    pk: Any
    is_active: bool

    def get_username(self) -> str:
        """The name that is shown."""

    def has_perm(self, perm: str, /) -> bool:
        """Whether the person may."""


def place(session: Session, *, by: Person, why: str, id: UUID | None = None) -> Hold:  # noqa: A002
    """The new hold; under an `id` that the session knows it is that one.

    Refused once the session is expiring, without a reason, or to a person who may not.
    """
    _check(by, why)
    hold: Hold = {
        "id": (id or uuid.uuid4()).hex,
        "by": by.get_username(),
        "who": str(by.pk),
        "why": why.strip(),
        "at": timezone.now().isoformat(),
    }
    for row in readings(session):
        if known := next((one for one in row.holds if one["id"] == hold["id"]), None):
            return known
        if write(row, [*row.holds, hold]):
            break
    log.info("session held", session=str(session.pk), hold=hold["id"], by=hold["by"])
    _ask(session.pk, [hold])
    return hold


def release(session: Session, hold_id: str, *, by: Person, why: str) -> Hold:
    """The hold, now released. Refused to the person who placed it: that needs a second one."""
    _check(by, why)
    for row in readings(session):
        hold = _active(row, hold_id)
        if hold["who"] == str(by.pk):
            raise Refused(
                f'Hold {hold["id"][:8]} on "{row.name}" was placed by {hold["by"]}: '
                "another person has to release it."
            )
        released = hold | {
            "released_by": by.get_username(),
            "released_who": str(by.pk),
            "released_why": why.strip(),
            "released_at": timezone.now().isoformat(),
        }
        if write(row, [released if one["id"] == hold["id"] else one for one in row.holds]):
            break
    log.info("hold released", session=str(session.pk), hold=released["id"], by=released["released_by"])
    _ask(session.pk, [released])
    return released


def write(row: Session, holds: list[Hold]) -> bool:
    """True when the holds of the session, as it was read, are now these; False when it changed meanwhile."""
    same = Session.objects.filter(pk=row.pk, version=row.version, status=row.status)
    return same.update(holds=holds, holds_due=True, **CHANGED) == 1


def readings(session: Session) -> Any:
    """The row as it is now, again for each attempt; Refused when it is too late."""
    for _ in range(ATTEMPTS):
        session.refresh_from_db()
        if session.status in GONE:
            raise Refused(
                f'Session "{session.name}" is {session.status}: it cannot be held or released any more.'
            )
        yield session
    raise Retryable(f'Session "{session.name}" keeps changing: the hold was not written. Try again.')


def _check(by: Person, why: str) -> None:
    if not VISIBLE.fullmatch(why):
        raise Refused("Say why: a hold and its release need a reason.")
    if len(why) > MOST_WHY:
        raise Refused(f"The reason has {len(why)} characters: at most {MOST_WHY} are kept.")
    if not (by.is_active and by.has_perm(PERMISSION)):
        raise Refused(f"{by.get_username()} may not hold or release sessions: that needs {PERMISSION}.")


def _active(row: Session, hold_id: str) -> Hold:
    found = [hold for hold in row.active_holds if hold_id and hold["id"].startswith(hold_id)]
    if len(found) != 1:
        known = ", ".join(hold["id"][:8] for hold in row.active_holds) or "none"
        raise Refused(f'"{row.name}" has not exactly one hold {hold_id or "named"}. Its holds: {known}.')
    return found[0]


def remember(limit: int = 100) -> int:
    """How many sessions' holds were asked of the ledger again, because nobody noted that they had been."""
    due = Session.objects.filter(holds_due__in=[True]).order_by("pk").values_list("pk", "holds")[:limit]
    for pk, holds in list(due):
        _ask(pk, holds)
    return len(due)


def _ask(session: UUID, holds: list[Hold]) -> None:
    """The ledger knows of these holds; the row says so once it knows of all that the row names."""
    for hold in holds:
        _request("held", session, hold, who=hold["who"], at=hold["at"])
        if hold.get("released_at"):
            _request("released", session, hold, who=hold["released_who"], at=hold["released_at"])
    row = Session.objects.filter(pk=session).values("holds", "version").first()
    if row is not None and _asked(row["holds"]):
        # Not a change of the session: its version stays, so that no other writer has to start over.
        Session.objects.filter(pk=session, version=row["version"]).update(holds_due=False)


def _asked(holds: list[Hold]) -> bool:
    keys = {f"held:{hold['id']}" for hold in holds}
    keys |= {f"released:{hold['id']}" for hold in holds if hold.get("released_at")}
    return ledger_rows.requested(keys) == keys


def _request(kind: str, session: UUID, hold: Hold, *, who: str, at: str) -> None:
    moment = int(datetime.fromisoformat(at).timestamp() * 1_000_000)
    facts = {"session": str(session), "hold": hold["id"], "by": who, "at_us": moment}
    ledger_rows.request(kind, key=f"{kind}:{hold['id']}", facts=facts)
