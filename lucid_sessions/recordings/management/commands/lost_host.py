"""manage.py lost_host SPOOL: a recording host is gone for ever, so nobody shall wait for it."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import lost_hosts
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "A host and its spool are gone for ever: seal its sessions without what only the spool had."
    examples = ("8c3d7a1c",)

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("spool", help="the eight digits in the spool's file `id`, and on its takes")

    def run(self, options: dict[str, Any]) -> int:
        lost_hosts.listen(options["spool"])
        given_up = lost_hosts.declare(options["spool"])
        self.tell(
            f"Spool {options['spool']} is given up: {given_up.chunks} chunks are named as missing, "
            f"{given_up.takes} takes are closed.",
            chunks=given_up.chunks,
            takes=given_up.takes,
        )
        return DONE
