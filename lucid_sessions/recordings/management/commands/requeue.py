"""manage.py requeue: put quarantined chunks back to work."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import requeue
from lucid_sessions.recordings.lifecycle import STAGES
from lucid_sessions.recordings.management.command import DONE, session_argument
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Put quarantined chunks back: all, or those of a stage, with a reason, of a session."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stage", choices=list(STAGES))
        parser.add_argument("--reason", help="only those whose reason contains this text")
        parser.add_argument("--session", type=session_argument)

    def run(self, options: dict[str, Any]) -> int:
        session = options["session"]
        count = requeue.requeue(
            stage=options["stage"], reason=options["reason"], session=session.pk if session else None
        )
        self.tell(f"{count} chunks were put back.", requeued=count)
        return DONE
