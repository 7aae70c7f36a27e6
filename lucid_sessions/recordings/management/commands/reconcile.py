"""manage.py reconcile [--loop]: bring forward what is due, without any broker."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import intake, reconcile
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "File the spool, run every due step in this process, seal. With --loop for ever."
    examples = ("", "--loop")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="go on every 5 seconds")

    def run(self, options: dict[str, Any]) -> int:
        world = installation()
        if options["loop"]:
            reconcile.loop(world)
        intake.Intake(world.spool).scan()
        done = reconcile.work_inline(world)
        self.tell(f"{done} chunks were due; {sum(reconcile.backlog().values())} still wait.", due=done)
        return DONE
