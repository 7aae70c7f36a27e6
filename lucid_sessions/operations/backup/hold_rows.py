"""Legal holds that the log knows and an older, or a new, database does not: they hold again, first of all."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lucid_sessions.recordings.events import CHANGED
from lucid_sessions.recordings.models import LedgerRecord, Session

UNKNOWN = "not in the database that was restored; the log has it as record {index}"


def hold_again() -> int:
    """How many sessions got back holds, or releases, that the log tells of and their rows did not."""
    told: dict[UUID, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for record in LedgerRecord.objects.filter(kind__in=("held", "released")).order_by("index"):
        facts = json.loads(record.entry)
        told[UUID(facts["session"])].append((record.index, facts))
    return sum(_hold(session, records) for session, records in told.items())


def _hold(session: UUID, records: list[tuple[int, dict[str, Any]]]) -> bool:
    row = Session.objects.filter(pk=session).first()
    if row is None:
        return False
    holds = {hold["id"]: dict(hold) for hold in row.holds}
    for index, facts in records:
        at = datetime.fromtimestamp(facts["at_us"] / 1_000_000, tz=UTC).isoformat()
        why = UNKNOWN.format(index=index)
        hold = holds.setdefault(
            facts["hold"],
            {"id": facts["hold"], "by": facts["by"], "who": facts["by"], "why": why, "at": at},
        )
        if facts["kind"] == "released" and not hold.get("released_at"):
            hold |= {"released_by": facts["by"], "released_who": facts["by"]}
            hold |= {"released_why": why, "released_at": at}
    if list(holds.values()) == row.holds:
        return False
    same = Session.objects.filter(pk=session, version=row.version)
    return same.update(holds=list(holds.values()), **CHANGED) == 1
