"""The recorder's view of the database: what to record on this host, and what came of it.

Every method may fail while the database is away; the supervisor then keeps recording into the spool and
asks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError
from django.db.models import F, Max
from django.utils import timezone

from lucid_sessions.errors import Refused
from recorder.spool import Spool
from recorder.supervisor import Event, Tenure, Wanted

from . import sessions
from .intake import Intake
from .lifecycle import LIVE, Desired, Status
from .models import Chunk, Gap, Session, Take

log = structlog.get_logger(__name__)

# A host that was silent for this long has lost its takes to whoever asks.
LEASE = timedelta(seconds=30)


@dataclass
class DatabaseView:
    """The sessions of this host, by the database. `host` and the spool name it."""

    spool: Spool
    intake: Intake
    host: str = field(default_factory=lambda: str(settings.HOST_NAME))

    def wanted(self) -> Sequence[Wanted]:
        """Sessions that this host records, and those that no host does."""
        live = list(Session.objects.filter(status__in=LIVE).order_by("created_at"))
        takes = {
            take.session_id: take
            for take in Take.objects.filter(session__in=[s.pk for s in live], ended_at__isnull=True)
        }
        found = []
        for session in live:
            take = takes.get(session.pk)
            if take is None or self._is_mine(take) or take.lease_until < timezone.now():
                number = take.number if take is not None and self._is_mine(take) else None
                found.append(self._wanted(session, number))
        return [one for one in found if one is not None]

    def _is_mine(self, take: Take) -> bool:
        return take.spool == self.spool.identity

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
        desired: Desired = Desired(session.desired)
        return Wanted(session.pk, desired.value, session.source, config, take)  # type: ignore[arg-type]

    def claim(self, session: UUID) -> Tenure | None:
        """A new take for this host; None when another host won, or nothing is to be recorded."""
        self.intake.scan()
        row = Session.objects.filter(pk=session, status__in=LIVE).exclude(desired=Desired.STOP).first()
        if row is None:
            return None
        newest = Take.objects.filter(session=session).order_by("-number").first()
        if newest is not None and newest.ended_at is None:
            if not self._is_mine(newest) and newest.lease_until > timezone.now():
                return None
            self._end(newest.pk, reason="its recorder died or its host was silent")
        number = newest.number + 1 if newest is not None else 1
        now = timezone.now()
        try:
            Take.objects.create(
                session_id=session,
                number=number,
                host=self.host,
                spool=self.spool.identity,
                claimed_at=now,
                lease_until=now + LEASE,
            )
        except IntegrityError:
            return None
        first = Session.objects.filter(pk=session, started_at__isnull=True)
        first.update(started_at=now, version=F("version") + 1)
        row.refresh_from_db()
        started = row.started_at or now
        return Tenure(number, int(started.timestamp() * 1000), self._known_end(session))

    def _known_end(self, session: UUID) -> int | None:
        ends = [
            rows.filter(session=session).aggregate(end=Max(column))["end"]
            for rows, column in ((Chunk.objects, "end_us"), (Gap.objects, "to_us"))
        ]
        return max((end for end in ends if end is not None), default=None)

    def report(self, session: UUID, take: int, event: Event) -> None:
        """Write down what happened; what a take left in the spool is filed before its end is."""
        if event.kind == "recording":
            self._status(session, Status.RECORDING, (Status.STARTING, Status.PAUSED))
        elif event.kind == "paused":
            self._status(session, Status.PAUSED, (Status.STARTING, Status.RECORDING))
        elif event.kind == "statistics":
            Session.objects.filter(pk=session).update(statistics=dict(event.facts))
        elif not event.facts.get("refused"):
            self.intake.scan()
            self._end_take(session, take, reason=event.reason)
            self._over(session, reason=event.reason if event.kind == "failed" else "")
        if event.reason:
            log.info("recorder", session=str(session), take=take, kind=event.kind, reason=event.reason)

    def beat(self) -> None:
        """Renew the lease of every take of this host."""
        mine = Take.objects.filter(spool=self.spool.identity, ended_at__isnull=True)
        mine.update(lease_until=timezone.now() + LEASE)

    def _status(self, session: UUID, status: Status, sources: tuple[Status, ...]) -> None:
        rows = Session.objects.filter(pk=session, status__in=sources)
        rows.update(status=status, version=F("version") + 1)

    def _end_take(self, session: UUID, number: int, *, reason: str) -> None:
        for take in Take.objects.filter(session=session, number=number, ended_at__isnull=True):
            self._end(take.pk, reason=reason)

    def _end(self, take: UUID, *, reason: str) -> None:
        Take.objects.filter(pk=take, ended_at__isnull=True).update(ended_at=timezone.now(), reason=reason)

    def _over(self, session: UUID, *, reason: str) -> None:
        rows = Session.objects.filter(pk=session, status__in=LIVE)
        rows.update(
            status=Status.PROCESSING,
            desired=Desired.STOP,
            reason=reason,
            ended_at=timezone.now(),
            version=F("version") + 1,
        )
