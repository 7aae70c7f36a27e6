"""The recorder's view of the database: what to record on this host, and what came of it.

Every method may fail while the database is away; the supervisor then keeps recording into the spool and
asks again.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError
from django.db.models import Max
from django.utils import timezone

from lucid_sessions.errors import Refused, Tampered
from recorder.clock import boot_ms
from recorder.names import COUNTER_BITS
from recorder.settings import Settings
from recorder.sources import RECONNECTED
from recorder.spool import Spool
from recorder.supervisor import NO_TAKE, Event, Load, NotYet, Tenure, Wanted

from . import ledger_rows, lost_ends, recorder_figures, sessions, targets, watching
from .events import CHANGED
from .installation import installation
from .intake import Intake
from .lifecycle import LIVE, Desired, Status
from .models import Chunk, RecorderHost, Session, SessionKey, Take
from .silence import LEASE, Listener
from .spool_files import MOST_TAKES, adopted_takes

log = structlog.get_logger(__name__)

# In a session's storage configuration: `when_full` is `spool` (go on while there is any room) or this.
FAIL_CLOSED = "fail_closed"
RUNNING = {
    "recording": (Status.RECORDING, (Status.STARTING, Status.PAUSED)),
    "paused": (Status.PAUSED, (Status.STARTING, Status.RECORDING)),
}


@dataclass
class DatabaseView:
    """The sessions of this host, by the database. `host` and the spool name it."""

    spool: Spool
    intake: Intake
    host: str = field(default_factory=lambda: str(settings.HOST_NAME))
    others: Listener = field(default_factory=Listener)
    _complete: set[UUID] = field(default_factory=set)  # sessions with a key for each of their tracks

    def wanted(self) -> Sequence[Wanted]:
        """Sessions that this host records, and those that no host does."""
        live = list(Session.objects.filter(status__in=LIVE).order_by("created_at"))
        self._end_those_that_must_not_outgrow(live)
        self._complete.intersection_update(session.pk for session in live)
        takes = {
            take.session_id: take
            for take in Take.objects.filter(session__in=[s.pk for s in live], ended_at__isnull=True)
        }
        self.others.looked()
        found = []
        for session in live:
            take = takes.get(session.pk)
            if take is None or self._is_mine(take) or self.others.is_silent(take):
                number = take.number if take is not None and self._is_mine(take) else None
                found.append(self._wanted(session, number))
        return [one for one in found if one is not None]

    def _is_mine(self, take: Take) -> bool:
        return take.spool == self.spool.identity

    def _end_those_that_must_not_outgrow(self, live: list[Session]) -> None:
        """With `when_full: fail_closed` a recording ends, and says so, where others go on into the spool."""
        strict = [s for s in live if s.storage_config.get("when_full") == FAIL_CLOSED]
        needed = settings.LUCID_STORAGE_MIN_FREE_GIB * 2**30
        if not strict or (free := self.spool.free_bytes()) >= needed:
            return
        reason = (
            f"ended as its policy {FAIL_CLOSED} says: the spool of {self.host} has {free / 2**30:.1f} GiB "
            f"free, {settings.LUCID_STORAGE_MIN_FREE_GIB:g} are needed"
        )
        mine = Take.objects.filter(spool=self.spool.identity, ended_at__isnull=True)
        here = set(mine.values_list("session_id", flat=True))
        for session in strict:
            if session.pk in here and session.desired != Desired.STOP:
                rows = Session.objects.filter(pk=session.pk, status__in=LIVE).exclude(desired=Desired.STOP)
                rows.update(desired=Desired.STOP, reason=reason, **CHANGED)
                session.desired = Desired.STOP

    def _wanted(self, session: Session, take: int | None) -> Wanted | None:
        try:
            config = sessions.recorder_settings(session.recording_config)
        except Refused as error:
            sessions.fail(session.pk, str(error))
            return None
        if session.desired == Desired.STOP and take is None:
            # Stopped before any recorder took it.
            self._over(session.pk, reason="")
            return None
        desired, lacking = Desired(session.desired), self._keyless(session)
        if take is None and "screen" in lacking:
            return None  # whoever starts it, by an earlier release, is about to give it its keys
        config = _without(lacking, config)
        watched = watching.is_watched(session)
        began_ms = int(session.started_at.timestamp() * 1000) if session.started_at else None
        return Wanted(session.pk, desired.value, session.source, config, take, watched, began_ms)  # type: ignore[arg-type]

    def _keyless(self, session: Session) -> frozenset[str]:
        """Tracks that the session could have and has no key for: what were recorded of them, none could open.

        An earlier release created it, which knew fewer tracks, and it was started before this one came.
        """
        if session.pk not in self._complete:
            there = SessionKey.objects.filter(session=session).values_list("track", flat=True)
            lacking = frozenset(sessions.TRACKS[urlsplit(session.source).scheme]) - set(there)
            if lacking:
                return lacking
            self._complete.add(session.pk)
        return frozenset()

    def claim(self, session: UUID) -> Tenure | None:
        """A new take for this host; None when another host won, or nothing is to be recorded."""
        self.intake.scan(session)
        row = Session.objects.filter(pk=session, status__in=LIVE).exclude(desired=Desired.STOP).first()
        if row is None:
            return None
        newest = Take.objects.filter(session=session).order_by("-number").first()
        if newest is not None and newest.ended_at is None and not self._take_over(newest):
            return None
        secret = self._password(row)
        if secret is None:
            return None
        now = timezone.now()
        try:
            take = Take.objects.create(
                session_id=session,
                number=self._next_number(session, newest),
                host=self.host,
                spool=self.spool.identity,
                claimed_at=now,
                lease_until=now + LEASE,
            )
        except IntegrityError:
            return None
        first = Session.objects.filter(pk=session, started_at__isnull=True)
        first.update(started_at=now, **CHANGED)
        row.refresh_from_db()
        started = row.started_at or now
        return Tenure(take.number, int(started.timestamp() * 1000), lost_ends.known_end(session), secret)

    def _password(self, session: Session) -> str | None:
        """The password for the session's desktop, empty where there is none; None when the session fails."""
        if urlsplit(session.source).scheme not in RECONNECTED:
            return ""
        try:
            return targets.password_of(installation().keys, session.pk)
        except (Refused, Tampered) as error:
            self._over(session.pk, reason=f"The password for the desktop cannot be opened: {error}.")
            return None

    def _take_over(self, take: Take) -> bool:
        """True when the open take is ended: it was ours, or its host is silent to this very moment."""
        if self._is_mine(take):
            closed = self.spool.closed(self.spool.take_directory(take.session_id, take.number)).get("screen")
            return self._end(take, reason=closed.reason if closed else "its recorder died")
        if not self.others.is_silent(take):
            return False
        return self._end(take, reason="its host was silent", lease_until=take.lease_until)

    def _next_number(self, session: UUID, newest: Take | None) -> int:
        """Above every take that a row, or a file of this spool, tells of: an older database forgets some."""
        highest = Chunk.objects.filter(session=session).aggregate(highest=Max("sequence"))["highest"] or 0
        takes = (*self.spool.takes_of(session), *adopted_takes(self.spool.root, session))
        here = [number for _, number, _ in takes if number <= MOST_TAKES]
        return max([newest.number if newest else 0, highest >> COUNTER_BITS, *here]) + 1

    def report(self, session: UUID, take: int, event: Event) -> None:
        """Write down what happened; what a take left in the spool is filed before its end is.

        A take that another host has followed speaks for itself only: it neither moves nor ends the session.
        """
        if event.kind == "connected":
            _note_server(session, take, event.facts)
        elif event.kind == "statistics":
            self._note_figures(session, take, event.facts)
        elif event.kind in RUNNING:
            status, sources = RUNNING[event.kind]
            if self._is_newest(session, take):
                self._status(session, status, sources)
        elif event.facts.get("refused"):
            waiting = Session.objects.filter(pk=session, status=Status.STARTING)
            waiting.update(statistics={"waiting": event.reason})
        else:
            if self.intake.mirror and any(
                any(self.spool.held(path)) for *_, path in self.spool.takes(session)
            ):
                # A seal before everything of it is acknowledged would miss it. The store may hang: not here.
                raise NotYet
            self.intake.scan(session)
            if event.facts:
                self._note_figures(session, take, event.facts)
            for row in Take.objects.filter(session=session, number=take, ended_at__isnull=True):
                self._end(row, reason=event.reason)
            if self._is_newest(session, take):
                self._over(session, reason=event.reason if event.kind == "failed" else "", at=_when(event))
        if event.reason:
            log.info("recorder", session=str(session), take=take, kind=event.kind, reason=event.reason)

    def _note_figures(self, session: UUID, take: int, facts: Mapping[str, Any]) -> None:
        row = Session.objects.filter(pk=session).first()
        if row is not None:
            said = recorder_figures.kept(row.statistics, facts, take=take, lacking=self._keyless(row))
            Session.objects.filter(pk=session).update(statistics=said)

    def _is_newest(self, session: UUID, take: int) -> bool:
        newest = Take.objects.filter(session=session).order_by("-number").first()
        if newest is None or newest.number == take:
            return True
        return take == NO_TAKE and (newest.ended_at is not None or self._is_mine(newest))

    def beat(self) -> None:
        """Renew the lease of every take of this host; takes of sessions that ended without us are ended."""
        now = timezone.now()
        mine = Take.objects.filter(spool=self.spool.identity, ended_at__isnull=True)
        mine.update(lease_until=now + LEASE)
        targets.forget_ended(installation().keys)
        sessions = set(mine.values_list("session_id", flat=True))
        over = Session.objects.filter(pk__in=sessions, ended_at__lt=now - LEASE).exclude(status__in=LIVE)
        for session in over.values_list("pk", flat=True) if sessions else ():
            self.intake.scan(session)
            for take in mine.filter(session=session):
                self._end(take, reason="the session ended while this host was away")

    def note_load(self, load: Load) -> None:
        """Let everybody know whether this host takes a further session, and what its sessions use."""
        figures = {"used": round(load.used, 3), "one_more": round(load.one_more, 3), "limit": load.limit}
        facts = {
            "name": self.host,
            "seen_at": timezone.now(),
            "sessions": load.sessions,
            "refusal": load.refusal or "",
            "figures": figures,
        }
        if not RecorderHost.objects.filter(spool=self.spool.identity).update(**facts):
            with contextlib.suppress(IntegrityError):
                RecorderHost.objects.create(spool=self.spool.identity, **facts)

    def _status(self, session: UUID, status: Status, sources: tuple[Status, ...]) -> None:
        rows = Session.objects.filter(pk=session, status__in=sources)
        rows.update(status=status, **CHANGED)

    def _end(self, take: Take, *, reason: str, **still: Any) -> bool:
        """True when the take is ended by us; `still` names fields that must be as they were read."""
        rows = Take.objects.filter(pk=take.pk, ended_at__isnull=True, **still)
        return rows.update(ended_at=timezone.now(), reason=reason) == 1

    def _over(self, session: UUID, *, reason: str, at: datetime | None = None) -> None:
        for take in Take.objects.filter(session=session, ended_at__isnull=True):
            self._take_over(take)
        changes = {"reason": reason} if reason else {}
        Session.objects.filter(pk=session, status__in=LIVE).update(
            status=Status.PROCESSING,
            desired=Desired.STOP,
            ended_at=at or timezone.now(),
            **CHANGED,
            **changes,
        )


def _when(event: Event) -> datetime:
    """When it was over as wished: to hear of it, and to be heard by the database, may have taken a while."""
    now, told = timezone.now(), event.facts.get("ended_boot_ms")
    late_ms = max(0, boot_ms() - told) if event.kind == "ended" and told else 0
    return now - timedelta(milliseconds=late_ms)


def _without(tracks: frozenset[str], config: Settings) -> Settings:
    """The recorder's settings with these tracks turned off."""
    if "input" in tracks:
        config = replace(config, input="none")
    if "audio" in tracks:
        config = replace(config, sound=False)
    return replace(config, poster_width=None) if "thumb" in tracks else config


def _note_server(session: UUID, take: int, facts: Mapping[str, Any]) -> None:
    """The log keeps, for each take of another machine's desktop, whose certificate was accepted and why."""
    said = {name: str(facts[name]) for name in ("certificate_sha256", "certificate_checked") if name in facts}
    ledger_rows.request(
        "audit",
        key=f"connected:{session}:{take}",
        facts={"event": "connected", "session": str(session), "take": take, **said},
    )
