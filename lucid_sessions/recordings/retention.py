"""How long sessions are kept, and which ones go now. The decision itself is `shredding.expire`.

The most specific policy counts: the session's own `retention_days`, then its tags (of several the longest),
its environment, its project, the default policy, 90 days. For one that was recovered no default counts: what
else would have is lost. A session and its chunks go together, and only sealed ones go. Every tick looks at
one page of sessions, in the order in which they ended.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone

from lucid_sessions.errors import Refused

from . import clock_guard, events, holds, shredding, upkeep
from .installation import Installation
from .lifecycle import ENDED, UNFINISHED
from .models import Chunk, Session, StoragePolicy

log = structlog.get_logger(__name__)

Scope = StoragePolicy.Scope
DEFAULT_DAYS = 90
DEFAULT = "the default"
# The source of a session of which a restore, or a rebuild, found no row: its settings are lost.
RECOVERED = "recovered://"
LEAST_DAYS, MOST_DAYS = 1, 3650
TICK_SECONDS = 60.0
# A tick looks at this many sessions, and lets this many go.
PAGE = 500
MOST_A_TICK = 20

Policies = dict[tuple[str, str], int]


@dataclass(frozen=True)
class Rule:
    """How long one session is kept, and what says so."""

    days: int
    origin: str


@dataclass(frozen=True)
class Candidate:
    """A session whose time is over at `due`, and what keeps it all the same."""

    session: Session
    rule: Rule
    due: datetime
    obstacle: str = ""

    @property
    def why(self) -> str:
        """The reason in words."""
        ended = self.due - timedelta(days=self.rule.days)
        return f"ended {ended:%Y-%m-%d %H:%M}, kept {self.rule.days} days by {self.rule.origin}"


def tick(
    world: Installation,
    *,
    now: clock_guard.Reading | None = None,
    most: int = MOST_A_TICK,
    page: int = PAGE,
) -> int:
    """How many sessions began to expire: none while the clock is in doubt. What is expiring goes on."""
    holds.remember()
    _warn(page=page)
    begun = 0
    if not clock_guard.check(now or clock_guard.read()):
        begun = sum(_begin(one) for one in _next_due(most, page=page))
    shredding.tick(world)
    return begun


def _warn(*, page: int) -> None:
    """Tell once of each session in this turn's page that goes within LUCID_RETENTION_WARNING_DAYS."""
    ahead = timedelta(days=settings.LUCID_RETENTION_WARNING_DAYS)
    if not ahead or not events.wanted():
        return
    for status in ENDED:
        rows = _older(status, before=timezone.now() + ahead)
        for one in going_soon(upkeep.turn(f"warning {status}", rows, size=page)):
            session = one.session
            facts = {**events.facts_of(session), "due": one.due.isoformat(), "rule": one.rule.origin}
            events.note(events.RETENTION, f"{session.pk} {one.due:%Y-%m-%d}", facts=facts)


def going_soon(sessions: Iterable[Session]) -> Iterator[Candidate]:
    """Those that go by age within LUCID_RETENTION_WARNING_DAYS, unless something keeps them."""
    then = timezone.now() + timedelta(days=settings.LUCID_RETENTION_WARNING_DAYS)
    ended = [session for session in sessions if session.status in ENDED]
    policies = known_policies() if ended else {}
    for session in ended:
        one = judged(session, policies=policies, now=then)
        if one is not None and not one.obstacle:
            yield one


def _next_due(most: int, *, page: int) -> Iterator[Candidate]:
    """What is due in the next page of each status, at most so many; the next turn goes on behind."""
    policies, now = known_policies(), timezone.now()
    for status in ENDED:
        name, found = f"retention {status}", 0
        for session in upkeep.turn(name, _older(status, before=now), size=page):
            one = judged(session, policies=policies, now=now)
            if one is None or one.obstacle:
                continue
            yield one
            found += 1
            if found == most:
                upkeep.note(name, {"at": upkeep.place_of(session)})
                break


def _older(status: str, *, before: datetime) -> Any:
    return Session.objects.filter(status=status, ended_at__lte=before - timedelta(days=LEAST_DAYS))


def _begin(candidate: Candidate) -> bool:
    won = shredding.expire(candidate.session, cause="retention", why=candidate.why)
    if won:
        log.info("session expires", session=str(candidate.session.pk), why=candidate.why)
    return won


def apply(
    candidates: Iterator[Candidate], *, world: Installation, now: clock_guard.Reading
) -> list[Candidate]:
    """Those of the candidates that expire now. Refused, and none, while the clock is in doubt."""
    doubt = clock_guard.check(now)
    if doubt:
        raise Refused(doubt)
    begun = [one for one in candidates if not one.obstacle and _begin(one)]
    for one in begun:
        shredding.advance(one.session, world=world)
    return begun


def due(*, within: timedelta = timedelta()) -> Iterator[Candidate]:
    """Every session that is due now, or will be `within` that time; first ended first, by page."""
    policies, now = known_policies(), timezone.now() + within
    for status in ENDED:
        rows, place = _older(status, before=now), None
        while page := list(upkeep.after(rows, place)[:PAGE]):
            place = upkeep.place_of(page[-1])
            yield from (one for session in page if (one := judged(session, policies=policies, now=now)))


def judged(session: Session, *, policies: Policies, now: datetime) -> Candidate | None:
    """The session as a candidate when its time is over at `now`; None while it is kept."""
    rule = rule_for(session, policies)
    over = (session.ended_at or session.created_at) + timedelta(days=rule.days)
    if over > now:
        return None
    return Candidate(session, rule, over, _obstacle(session))


def _obstacle(session: Session) -> str:
    if not session.sealed_revision:
        return "it is not sealed yet"
    late = Chunk.objects.filter(session=session.pk, state__in=UNFINISHED, quarantined_at__isnull=True)
    if late.exists():
        return "chunks of it are still on their way into the archive"
    return shredding.obstacle_to(session) or lost_rule(session)


def lost_rule(session: Session) -> str:
    """Why it does not go by itself, although nothing says that it stays: nobody knows any more what did."""
    if session.source != RECOVERED or rule_for(session, known_policies()).origin != DEFAULT:
        return ""
    return (
        f'Session "{session.name}" was recovered without its settings: how long it was to be kept is lost. '
        "Set its storage_config.retention_days, or a project, environment or tag that has a policy."
    )


def rule_for(session: Session, policies: Policies) -> Rule:
    """The most specific rule; of several tags' the longest."""
    own = session.storage_config.get("retention_days")
    if isinstance(own, int) and LEAST_DAYS <= own <= MOST_DAYS:
        return Rule(own, "its own configuration")
    tags = [
        Rule(policies[key], f"tag={key[1]}")
        for tag in session.tags
        if (key := (str(Scope.TAG), tag)) in policies
    ]
    if tags:
        return max(tags, key=lambda rule: rule.days)
    for scope, value in ((Scope.ENVIRONMENT, session.environment), (Scope.PROJECT, session.project)):
        if value and (str(scope), value) in policies:
            return Rule(policies[str(scope), value], f"{scope}={value}")
    return Rule(policies.get((str(Scope.DEFAULT), ""), DEFAULT_DAYS), DEFAULT)


def known_policies() -> Policies:
    """Every policy that says how long."""
    rows = StoragePolicy.objects.filter(retention_days__isnull=False)
    return {(row.scope, row.value): int(row.retention_days or 0) for row in rows}


def parse_scope(text: str) -> tuple[str, str]:
    """Scope and value of a `project=payments`, or of `default`; Refused with the fix."""
    scope, equals, value = text.partition("=")
    if scope not in Scope.values or bool(equals and value) == (scope == Scope.DEFAULT):
        raise Refused(f"{text!r} is no scope: use default, project=NAME, environment=NAME or tag=NAME.")
    return scope, value


def keep(scope: str, *, days: int) -> StoragePolicy:
    """The policy that sessions in this scope are kept so many days. It counts from the next look on."""
    kind, value = parse_scope(scope)
    if not LEAST_DAYS <= days <= MOST_DAYS:
        raise Refused(
            f"{days} days: a policy keeps sessions for {LEAST_DAYS} to {MOST_DAYS} days. "
            "To delete one at once, use `manage.py shred`."
        )
    policy, _ = StoragePolicy.objects.update_or_create(
        scope=kind, value=value, defaults={"retention_days": days}
    )
    log.info("retention policy", scope=scope, days=days)
    return policy


def forget(scope: str) -> None:
    """The scope has no retention policy of its own any more; Refused when it had none."""
    kind, value = parse_scope(scope)
    rows = StoragePolicy.objects.filter(scope=kind, value=value, retention_days__isnull=False)
    if not rows.update(retention_days=None):
        raise Refused(f"There is no retention policy for {scope}.")
    log.info("retention policy removed", scope=scope)
