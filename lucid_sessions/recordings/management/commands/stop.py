"""manage.py stop SESSION."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.management.command import DONE, SESSION, session_argument
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Stop the recording of a session."
    examples = ('"deploy db-7"',)

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=session_argument, help=SESSION)

    def run(self, options: dict[str, Any]) -> int:
        session = sessions.stop(options["session"])
        self.tell(f'Session "{session.name}": stop asked for.', session=session.pk, desired=session.desired)
        return DONE
