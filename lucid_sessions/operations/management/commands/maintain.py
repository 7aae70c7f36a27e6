"""manage.py maintain: the database checked and tended, and what lies about reported. Safe while running."""

from dataclasses import asdict
from typing import Any

from lucid_sessions.operations import upkeep
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Check, analyse and compact the database; report lost and stray files. Exit 1: something is wrong."
    examples = ("",)

    def run(self, options: dict[str, Any]) -> int:  # noqa: ARG002 - it has none
        report = upkeep.maintain(installation())
        self.tell("\n".join([*report.done, *report.notes]), **asdict(report))
        for problem in report.wrong:
            self.stderr.write(problem)
        return CHECK_FAILED if report.wrong else DONE
