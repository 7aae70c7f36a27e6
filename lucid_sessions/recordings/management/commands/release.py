"""manage.py release SESSION HOLD --by USER --why TEXT: end a legal hold that another person has placed."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import holds
from lucid_sessions.recordings.management.command import DONE, SESSION, session_argument, user_argument
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Release a legal hold that another person has placed."
    examples = ('"deploy db-7" 4c0ed353 --by eva --why "case 17 is closed"',)

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=session_argument, help=SESSION)
        parser.add_argument(
            "hold", help="the hold's id, or its beginning: `manage.py hold SESSION` lists them"
        )
        parser.add_argument("--by", type=user_argument, required=True, help="who releases it: a user's name")
        parser.add_argument("--why", required=True, help="the reason, for the record")

    def run(self, options: dict[str, Any]) -> int:
        session = options["session"]
        hold = holds.release(session, options["hold"], by=options["by"], why=options["why"])
        left = len(session.active_holds) - 1
        self.tell(
            f'Hold {hold["id"][:8]} of session "{session.name}" is released; {left} left.',
            session=session.pk,
            hold=hold,
            left=left,
        )
        return DONE
