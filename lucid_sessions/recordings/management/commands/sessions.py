"""manage.py sessions: what was recorded, newest first."""

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Count

from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Chunk, Session


class Command(Base):
    help = "List sessions, newest first."
    examples = ("--status recording", "--limit 10 --json")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--status", choices=[status.value for status in Status])
        parser.add_argument("--limit", type=int, default=50, help="at most so many (50)")

    def run(self, options: dict[str, Any]) -> int:
        rows = Session.objects.all()
        if options["status"]:
            rows = rows.filter(status=options["status"])
        found = list(rows[: options["limit"]])
        counts: dict[Any, dict[str, int]] = {}
        chunks = Chunk.objects.filter(session__in=[one.pk for one in found])
        for session, state, count in chunks.values_list("session", "state").annotate(Count("pk")).order_by():
            counts.setdefault(session, {})[state] = count
        facts: list[dict[str, Any]] = [
            {
                "id": one.pk,
                "name": one.name,
                "status": one.status,
                "reason": one.reason,
                "chunks": counts.get(one.pk, {}),
            }
            for one in found
        ]
        lines = [
            f"{one['id']}  {one['status']:<10}  {_told(one['chunks']):<34}  {one['name']}" for one in facts
        ]
        self.tell("\n".join(lines) or "There are no sessions.", sessions=facts)
        return DONE


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no chunks"
