"""manage.py evidence SESSION OUT.zip: what proves a session, for someone who does not trust us."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import evidence
from lucid_sessions.recordings.management.command import (
    DONE,
    SESSION,
    output_argument,
    session_argument,
)
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Write a session's evidence bundle: blobs, proofs, checkpoint and a verifier, in one zip file."
    examples = ('"deploy db-7" evidence.zip', '"deploy db-7" evidence.zip --media')

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=session_argument, help=SESSION)
        parser.add_argument("out", type=output_argument, help="the file to write")
        parser.add_argument("--media", action="store_true", help="put the decrypted recording in")
        parser.add_argument(
            "--keys",
            action="store_true",
            help="put the session's private keys in: whoever has it can decrypt",
        )

    def run(self, options: dict[str, Any]) -> int:
        disclose = frozenset(name for name in ("media", "keys") if options[name])
        figures = evidence.write(options["session"], options["out"], disclose=disclose)
        self.tell(
            f"{options['out']}: {figures['blobs']} blobs, {figures['bytes']} bytes. "
            "Whoever gets it runs `python3 verify.py` in it, with the log's key, given by another way:\n"
            "`manage.py keys list` prints it.",
            out=options["out"],
            **figures,
        )
        return DONE
