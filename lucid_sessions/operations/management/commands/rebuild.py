"""manage.py rebuild: a database from log, blobs, keys and spool, when no backup of it exists."""

from dataclasses import asdict
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused
from lucid_sessions.operations.backup import mirror
from lucid_sessions.operations.backup.recovery import Recovery, Shredded, unlock
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Session


class Command(Base):
    help = "Make the rows of an empty database anew. Names, owners and users are lost; recordings are not."
    examples = ("", "--without-password")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--without-password", action="store_true", help="do not open blobs: times will be rough"
        )
        parser.add_argument("--again", action="store_true", help="go on with a rebuild that was interrupted")

    def run(self, options: dict[str, Any]) -> int:
        world = installation()
        identity = None if options["without_password"] else unlock(world)
        if identity is None and not options["without_password"]:
            raise Refused(
                "Exact times need ENCRYPTION_PASSWORD: set it, or accept rough ones with --without-password."
            )
        call_command("migrate", interactive=False, verbosity=0)
        if Session.objects.exists() and not options["again"]:
            raise Refused(
                "The database holds sessions: rebuild fills an empty one. Move it away first, "
                "or go on with an interrupted rebuild by --again."
            )
        shredded = frozenset(mirror.sessions_shredded(world.log()))
        done = Recovery(world, Shredded(recorded=shredded), lambda: identity).rebuild()
        self.tell(
            f"Rebuilt {done.sessions} sessions and {done.chunks} chunks ({done.opened} opened) from "
            f"{done.records} log records and the blobs; {done.spooled} segments came from the spool.",
            **asdict(done),
        )
        for lost in done.lost:
            self.stderr.write(lost)
        return CHECK_FAILED if done.lost else DONE
