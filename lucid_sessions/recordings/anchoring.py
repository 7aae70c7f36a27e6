"""The log's checkpoints, vouched for by others: from then on not even we can write another past.

Archiving never waits for it: an authority that is away is asked again at the next tick.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import structlog

from lucid_sessions.errors import LucidError, Retryable, Tampered
from lucid_sessions.ledger import Anchor, Chain, Log, Party

from .authorities import KINDS, authorities
from .installation import Installation
from .models import Checkpoint

__all__ = [
    "TICK_SECONDS",
    "anchor_now",
    "authorities",
    "check",
    "confirm",
    "findings",
    "pending",
    "tick",
    "waiting_seconds",
]

log = structlog.get_logger(__name__)

TICK_SECONDS = 300.0


def tick(world: Installation) -> int:
    """How many anchors were added: of authorities that have not been asked for a while."""
    ledger = world.log()
    parties = list(_usable())
    if not parties:
        return 0
    try:
        with ledger.anchors.alone():
            return sum(_anchored(ledger, one) for one in parties)
    except Retryable as error:
        log.warning("anchors wait", reason=str(error))
        return 0


def anchor_now(world: Installation) -> list[Anchor]:
    """The newest checkpoint's anchors, one of each authority, asked now unless it was already.

    Of a chain the one that is final now, if one is; its checkpoint may be older.
    """
    ledger = world.log()
    with ledger.anchors.alone():
        return [found for one in authorities() if (found := _anchor(ledger, one)) is not None]


def pending(world: Installation) -> list[Anchor]:
    """What was sent to chains and is not final yet."""
    anchors = world.log().anchors
    sent = [anchors.sent(one.name) for one in authorities() if isinstance(one, Chain)]
    return [one for one in sent if one is not None]


def check(ledger: Log, anchor: Anchor) -> datetime | None:
    """When the anchored checkpoint existed; None if nobody by that name is in the settings any more.

    Tampered: the log has another past than was vouched for, or the proof does not hold. Of an anchor in a
    chain it says what can be seen without asking: then `confirm`.
    """
    ledger.at(anchor.note)
    anchor.checkpoint(ledger.vkey)
    party = _party(anchor)
    return party.verify(anchor.proof, anchor.note) if party else None


def confirm(anchor: Anchor) -> int | None:
    """How many blocks of its chain hold the anchor, asked now; None for anchors that need no asking.

    Tampered: the chain does not hold it. Retryable: nobody there answers.
    """
    party = _party(anchor)
    return party.confirm(anchor.proof) if isinstance(party, Chain) else None


def waiting_seconds(world: Installation) -> dict[str, float]:
    """By authority: how long the newest checkpoint has gone without its word; 0 while it has that.

    Of a chain, which is asked seldom since it costs, only what is beyond that.
    """
    ledger, found = world.log(), {}
    for party in authorities():
        newest = ledger.anchors.newest(party.name, party.kind)
        if newest is not None and newest.size == ledger.size:
            found[party.name] = 0.0
            continue
        allowed = party.every if isinstance(party, Chain) else timedelta()
        since = _vouched_at(party, newest) or _first_checkpoint()
        found[party.name] = _seconds_since(since + allowed) if since else 0.0
    return found


def findings(ledger: Log) -> list[str]:
    """What is wrong with the anchors: each says that the log's past was changed, or a proof was.

    The newest anchor in a chain is asked for there; if nobody answers, that is no finding.
    """
    found = []
    for anchor in ledger.anchors.all():
        try:
            check(ledger, anchor)
        except Tampered as error:
            found.append(f"anchor of size {anchor.size} by {anchor.name}: {error}")
    for anchor in _newest_in_chains(ledger):
        try:
            confirm(anchor)
        except Tampered as error:
            found.append(f"anchor of size {anchor.size} by {anchor.name}: {error}")
        except LucidError as error:
            log.warning("anchor was not looked up", authority=anchor.name, reason=str(error))
    return found


def _usable() -> Iterator[Party]:
    """Whoever can be asked by the settings; what is wrong with those of others is logged."""
    for read in KINDS:
        try:
            yield from read()
        except LucidError as error:
            log.warning("anchor waits", authority=read.__name__, reason=str(error))


def _party(anchor: Anchor) -> Party | None:
    known = {(one.name, one.kind): one for one in authorities()}
    return known.get((anchor.name, anchor.kind))


def _newest_in_chains(ledger: Log) -> list[Anchor]:
    chains = [one for one in authorities() if isinstance(one, Chain)]
    newest = [ledger.anchors.newest(one.name, one.kind) for one in chains]
    return [one for one in newest if one is not None]


def _vouched_at(party: Party, newest: Anchor | None) -> datetime | None:
    """When the party vouched last; None if it never did, or its word does not hold: that is no word."""
    try:
        return party.verify(newest.proof, newest.note) if newest else None
    except Tampered as error:
        log.warning("anchor does not hold", authority=party.name, reason=str(error))
        return None


def _first_checkpoint() -> datetime | None:
    return Checkpoint.objects.order_by("size").values_list("created_at", flat=True).first()


def _seconds_since(at: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - at).total_seconds())


def _anchored(ledger: Log, party: Party) -> bool:
    """True when an anchor was added; False when none is due, or the authority is away."""
    try:
        if not party.unfinished(ledger) and not _is_due(ledger, party):
            return False
        return _anchor(ledger, party) is not None
    except LucidError as error:
        log.warning("anchor waits", authority=party.name, reason=str(error))
        return False


def _is_due(ledger: Log, party: Party) -> bool:
    newest = ledger.anchors.newest(party.name, party.kind)
    if newest is None or newest.size == ledger.size:
        return newest is None
    # A proof that does not hold is a finding, and no reason never to ask that party again.
    at = _vouched_at(party, newest)
    # Of a clock that was set back, the future is no excuse for waiting.
    return at is None or abs(datetime.now(UTC) - at) >= party.every


def _anchor(ledger: Log, party: Party) -> Anchor | None:
    """The party's anchor of the newest checkpoint; None while nothing is in the log, or it is not final."""
    note = (ledger.checkpoint_text() or "").encode()
    if not note:
        return None
    size = ledger.at(note).size
    known = [one for one in ledger.anchors.at(size) if (one.name, one.kind) == (party.name, party.kind)]
    if known:
        return known[0]
    anchor = party.vouch(ledger, note)
    if anchor is not None:
        ledger.anchors.add(anchor)
        log.info("checkpoint anchored", authority=party.name, size=anchor.size)
    return anchor
