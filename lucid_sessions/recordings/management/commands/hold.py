"""manage.py hold SESSION --by USER --why TEXT: nothing of the session may go until the hold is released."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import holds
from lucid_sessions.recordings.management.command import DONE, SESSION, session_argument, user_argument
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Session


class Command(Base):
    help = "Put a session under legal hold, or list its holds (no --why)."
    examples = ('"deploy db-7"', '"deploy db-7" --by ana --why "case 17"')

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=session_argument, help=SESSION)
        parser.add_argument("--by", type=user_argument, help="who places it: a user's name")
        parser.add_argument("--why", help="the reason, for the record")

    def run(self, options: dict[str, Any]) -> int:
        session: Session = options["session"]
        if options["why"] is None and options["by"] is None:
            self._list(session)
            return DONE
        hold = holds.place(session, by=self.required(options, "by"), why=self.required(options, "why"))
        self.tell(
            f'Session "{session.name}" is held (hold {hold["id"][:8]}): '
            "nothing of it goes until another person releases it.",
            session=session.pk,
            hold=hold,
        )
        return DONE

    def _list(self, session: Session) -> None:
        lines = [
            f"{one['id'][:8]}  {one['at'][:16]}  {one['by']}: {one['why']}"
            + (
                f"  (released {one['released_at'][:16]} by {one['released_by']})"
                if "released_at" in one
                else ""
            )
            for one in session.holds
        ]
        self.tell("\n".join(lines) or f'Session "{session.name}" was never held.', holds=session.holds)
