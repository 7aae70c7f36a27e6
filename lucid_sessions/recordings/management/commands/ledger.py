"""manage.py ledger checkpoint|verify: the log's newest signed checkpoint, or the whole log checked."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import verification
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE, LATER
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Print the newest signed checkpoint, or verify every tile and record of the log."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("checkpoint", "verify"))

    def run(self, options: dict[str, Any]) -> int:
        if options["action"] == "checkpoint":
            return self._checkpoint()
        report = verification.verify_log()
        for finding in report.findings:
            self.stderr.write(f"{finding.where}: {finding.problem}")
        self.tell(
            f"{report.checked} records, root {report.root}: {'sound' if report.integrity else 'NOT SOUND'}",
            records=report.checked,
            root=report.root,
            sound=report.integrity,
        )
        return DONE if report.integrity else CHECK_FAILED

    def _checkpoint(self) -> int:
        note = installation().log().checkpoint_text()
        if note is None:
            self.tell("The log is empty: no checkpoint has been signed yet.", checkpoint=None)
            return LATER
        self.tell(note.rstrip("\n"), checkpoint=note)
        return DONE
