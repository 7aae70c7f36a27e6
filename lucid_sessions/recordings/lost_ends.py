"""What nobody recorded between the death of a session's last recorder and its end, where no host said so.

The host that records a session accounts for its end itself. One that was away when the session was stopped
closes its take on its return, and speaks for what it recorded; of the rest the rows know.
"""

from datetime import timedelta
from uuid import UUID

from django.db.models import Max

from recorder.continuation import AT_THE_END, OF_THE_SCREEN
from recorder.sources import MEDIA_TIMED
from recorder.take import PAUSED

from .models import Chunk, Closure, Gap, Session, Take


def account_for(pk: UUID) -> None:
    """What is missing at the end of this session, all of whose takes are over, is a gap of each track.

    Doing it twice gives the same. The times rest on the wall clocks of two hosts, and the gap says so.
    """
    session = Session.objects.get(pk=pk)
    died = _last_that_died(pk)
    if died is None or session.source.partition(":")[0] in MEDIA_TIMED:
        return
    if session.started_at is None or session.ended_at is None:
        return
    from_us, to_us = known_end(pk) or 0, (session.ended_at - session.started_at) // timedelta(microseconds=1)
    if from_us >= to_us:
        return
    reason = _pause_until(from_us, pk) or died.reason
    facts = {"from_us": from_us, "to_us": to_us, "reason": reason, "uncertain": True}
    tracks = set(Closure.objects.filter(session=pk).values_list("track", flat=True)) - OF_THE_SCREEN
    for track in sorted(tracks):
        place = {"track": track, "take": died.take, "number": AT_THE_END}
        Gap.objects.get_or_create(session_id=pk, **place, defaults=facts)


def _last_that_died(session: UUID) -> Closure | None:
    """How the screen of the last take closed, if its recorder died and nobody has accounted for the rest."""
    newest = Take.objects.filter(session=session).aggregate(newest=Max("number"))["newest"]
    place = {"session": session, "track": "screen", "take": newest}
    if Gap.objects.filter(**place, number=AT_THE_END).exists():
        return None
    return Closure.objects.filter(**place, ending="interrupted").first()


def _pause_until(at_us: int, session: UUID) -> str:
    """The pause that lasted when its recorder was told to end: it stays one. Empty when there was none."""
    last = Gap.objects.filter(session=session, track="screen", to_us=at_us, reason__startswith=PAUSED)
    return last.values_list("reason", flat=True).first() or ""


def known_end(session: UUID) -> int | None:
    """Until when the screen is recorded, or accounted for, microseconds; None where nothing is known."""
    ends = [
        rows.filter(session=session, track="screen").aggregate(end=Max(column))["end"]
        for rows, column in ((Chunk.objects, "end_us"), (Closure.objects, "end_us"), (Gap.objects, "to_us"))
    ]
    return max((end for end in ends if end is not None), default=None)
