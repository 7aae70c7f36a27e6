"""manage.py shred SESSION: delete a session for good, keys first. Without --by and --why: what would go."""

import json
import time
from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.durable import write_durably
from lucid_sessions.errors import LucidError, Retryable
from lucid_sessions.recordings import receipts, sealing, shredding
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.management.command import (
    DONE,
    LATER,
    SESSION,
    output_argument,
    session_argument,
    user_argument,
)
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Chunk, Session

WAIT_SECONDS = 10.0


class Command(Base):
    help = "Delete a session for good: its keys, then all its bytes. What existed stays provable."
    examples = ('"deploy db-7"', '"deploy db-7" --by ana --why "asked for" --receipt receipt.json')

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=session_argument, help=SESSION)
        parser.add_argument("--by", type=user_argument, help="who decides it: a user's name")
        parser.add_argument("--why", help="the reason; without --by and --why it is only said what would go")
        parser.add_argument(
            "--receipt", type=output_argument, help="write the log's proof of it to this file"
        )
        parser.add_argument(
            "--lost-spool", metavar="ID", help="its host is gone for ever: do not wait for it"
        )
        parser.add_argument(
            "--keys-were-lost",
            action="store_true",
            help="the sealed keys are gone already: do not wait for them",
        )

    def run(self, options: dict[str, Any]) -> int:
        session: Session = options["session"]
        if session.status not in (Status.EXPIRING, Status.DELETED):
            if options["by"] is None and options["why"] is None:
                return self._preview(session)
            by, why = self.required(options, "by"), self.required(options, "why")
            shredding.begin(session, cause="shred", by=by, why=why)
        if options["lost_spool"]:
            shredding.declare_lost(session, spool=options["lost_spool"])
        if options["keys_were_lost"]:
            shredding.declare_lost(session)
        self._finish(session)
        return self._tell_end(session, options)

    def _preview(self, session: Session) -> int:
        obstacle = shredding.obstacle_to(session)
        chunks = Chunk.objects.filter(session=session).count()
        text = obstacle or (
            f'Session "{session.name}" would go for good: its keys and {chunks} chunks. '
            "To do it: --by USER --why TEXT."
        )
        self.tell(text, session=session.pk, chunks=chunks, obstacle=obstacle)
        return DONE

    def _finish(self, session: Session) -> None:
        """Do here what can be done here, and give the sealer a moment."""
        world, deadline = installation(), time.monotonic() + WAIT_SECONDS
        while session.status == Status.EXPIRING:
            while shredding.advance(session, world=world):
                session.refresh_from_db()
            session.refresh_from_db()
            if any(shredding.waits_for(session)):
                return
            try:
                sealing.seal(world)
            except LucidError as error:
                # Not the sealer's host: it has been asked, and is waited for.
                self.stderr.write(f"The record is left to the sealer: {error}")
                time.sleep(1.0)
            session.refresh_from_db()
            if time.monotonic() > deadline:
                return

    def _tell_end(self, session: Session, options: dict[str, Any]) -> int:
        waits = list(shredding.waits_for(session)) if session.status == Status.EXPIRING else []
        if waits:
            text = f'Session "{session.name}" is expiring; it still waits for: {", ".join(waits)}.'
            if any("spool" in one for one in waits):
                text += (
                    " `manage.py recorder` there clears it by itself; of a host that is gone for ever say"
                    " --lost-spool ID."
                )
            self.tell(text, session=session.pk, status=session.status, waits=waits)
            return LATER
        receipt: dict[str, Any] | None = None
        try:
            receipt = receipts.receipt(session, world=installation())
        except Retryable as error:
            self.tell(str(error), session=session.pk, status=session.status, waits=[str(error)])
            return LATER
        if options["receipt"]:
            write_durably(options["receipt"], json.dumps(receipt, indent=2).encode() + b"\n")
        text = f'Session "{session.name}" is shredded: record {receipt["index"]} of the log.'
        self.tell(text, session=session.pk, status=session.status, receipt=receipt)
        return DONE
