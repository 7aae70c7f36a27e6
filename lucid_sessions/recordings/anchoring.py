"""The log's checkpoints, vouched for by others: from then on not even we can write another past.

Archiving never waits for it: an authority that is away is asked again at the next tick.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from django.conf import settings

from lucid_sessions.errors import LucidError, Refused, Tampered
from lucid_sessions.ledger import Anchor, Authority, Log

from .installation import Installation
from .models import Checkpoint

log = structlog.get_logger(__name__)

TICK_SECONDS = 300.0


def authorities() -> list[Authority]:
    """Who vouches for checkpoints, by the settings; Refused when their certificates are not there."""
    urls: dict[str, str] = settings.LUCID_TIMESTAMP_URLS
    if not urls:
        return []
    roots = _roots()
    for name in urls:
        if not name.replace("-", "").isalnum():
            raise Refused(f"LUCID_TIMESTAMP_URLS names {name!r}: use letters, digits and hyphens, name=url.")
    return [Authority(name, url, roots) for name, url in urls.items()]


def tick(world: Installation) -> int:
    """How many anchors were added: of authorities that have not been asked for a while."""
    every = timedelta(hours=settings.LUCID_TIMESTAMP_HOURS)
    return sum(_anchored(world.log(), one, every=every) for one in authorities())


def anchor_now(world: Installation) -> list[Anchor]:
    """The newest checkpoint's anchors, one of each authority, asked now unless it was already."""
    ledger = world.log()
    return [found for one in authorities() if (found := _anchor(ledger, one)) is not None]


def check(ledger: Log, anchor: Anchor) -> datetime | None:
    """When the anchored checkpoint existed; None if nobody by that name is in the settings any more.

    Tampered: the log has another past than was vouched for, or the proof does not hold.
    """
    ledger.at(anchor.note)
    anchor.checkpoint(ledger.vkey)
    known = {one.name: one for one in authorities()}
    return known[anchor.name].verify(anchor.proof, anchor.note) if anchor.name in known else None


def waiting_seconds(world: Installation) -> dict[str, float]:
    """By authority: how long the newest checkpoint has gone without its word; 0 while it has that."""
    ledger, found = world.log(), {}
    for authority in authorities():
        newest = ledger.anchors.newest(authority.name)
        if newest is not None and newest.size == ledger.size:
            found[authority.name] = 0.0
        elif newest is not None:
            found[authority.name] = _seconds_since(authority.verify(newest.proof, newest.note))
        else:
            first = Checkpoint.objects.order_by("size").values_list("created_at", flat=True).first()
            found[authority.name] = _seconds_since(first) if first else 0.0
    return found


def _seconds_since(at: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - at).total_seconds())


def _anchored(ledger: Log, authority: Authority, *, every: timedelta) -> bool:
    """True when an anchor was added; False when none is due, or the authority is away."""
    try:
        newest = ledger.anchors.newest(authority.name)
        if newest and newest.size == ledger.size:
            return False
        if newest and not _is_old(authority.verify(newest.proof, newest.note), every):
            return False
        return _anchor(ledger, authority) is not None
    except LucidError as error:
        log.warning("anchor waits", authority=authority.name, reason=str(error))
        return False


def _is_old(at: datetime, every: timedelta) -> bool:
    # Of a clock that was set back, the future is no excuse for waiting.
    return abs(datetime.now(UTC) - at) >= every


def _anchor(ledger: Log, authority: Authority) -> Anchor | None:
    """The authority's anchor of the newest checkpoint; None while nothing is in the log."""
    note = (ledger.checkpoint_text() or "").encode()
    if not note:
        return None
    size = ledger.at(note).size
    known = next((one for one in ledger.anchors.at(size) if one.name == authority.name), None)
    if known is not None:
        return known
    anchor = Anchor(size, authority.name, note, authority.stamp(note))
    ledger.anchors.add(anchor)
    log.info("checkpoint anchored", authority=authority.name, size=size)
    return anchor


def _roots() -> bytes:
    path: str = settings.LUCID_TIMESTAMP_ROOTS
    if path.startswith("-----BEGIN"):
        return path.encode()
    if not path:
        raise Refused(
            "LUCID_TIMESTAMP_URLS is set: name the authorities' certificates, LUCID_TIMESTAMP_ROOTS."
        )
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"LUCID_TIMESTAMP_ROOTS, {path}, cannot be read: {error.strerror}.") from error


def findings(ledger: Log) -> list[str]:
    """What is wrong with the anchors: each says that the log's past was changed, or a proof was."""
    found = []
    for anchor in ledger.anchors.all():
        try:
            check(ledger, anchor)
        except Tampered as error:
            found.append(f"anchor of size {anchor.size} by {anchor.name}: {error}")
    return found
