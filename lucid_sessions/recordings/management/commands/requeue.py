"""manage.py requeue: put quarantined chunks back to work."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import requeue
from lucid_sessions.recordings.lifecycle import STAGES
from lucid_sessions.recordings.management.command import DONE, SESSION, session_argument
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Session


class Command(Base):
    help = "Put quarantined chunks back: all, or those of a stage, with a reason, of a session."
    examples = ("--list", "--stage store --reason disk", '--session "deploy db-7"')

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stage", choices=list(STAGES))
        parser.add_argument("--reason", help="only those whose reason contains this text")
        parser.add_argument("--session", type=session_argument, help=SESSION)
        parser.add_argument(
            "--list", action="store_true", help="say what waits, or is bad, and why; change nothing"
        )

    def run(self, options: dict[str, Any]) -> int:
        session = options["session"]
        if options["list"]:
            return self._list(session)
        count = requeue.requeue(
            stage=options["stage"], reason=options["reason"], session=session.pk if session else None
        )
        self.tell(f"{count} chunks were put back.", requeued=count)
        return DONE

    def _list(self, session: Session | None) -> int:
        found = requeue.troubles(session=session.pk if session else None)
        lines = [
            f"{one.chunk}: {one.stage}, attempt {one.attempts}. {one.reason}\n  {one.next_step}"
            for one in found
        ]
        text = "\n".join(lines) or "No chunk is in quarantine or waits for its next attempt."
        self.tell(text, troubles=[asdict(one) for one in found])
        return DONE
