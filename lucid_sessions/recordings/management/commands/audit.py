"""manage.py audit [check | export]: is the audit what the ledger fixed, and all of it for an auditor."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.access import audit_export
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import audit_batches
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Check the audit's chain against the signed log (exit 1 when it was changed), or export it."
    examples = ("check", "export --format csv > audit.csv")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("check", "export"))
        parser.add_argument("--format", choices=sorted(audit_export.FORMS), default="ndjson")

    def run(self, options: dict[str, Any]) -> int:
        if options["action"] == "export":
            rows = AuditEvent.objects.all()
            for line in audit_export.FORMS[options["format"]].lines(rows):
                sys.stdout.write(line)
            return DONE
        found = audit_batches.check(installation())
        for line in found:
            self.stderr.write(line)
        open_ones = AuditEvent.objects.filter(batch__isnull=True).count()
        events = AuditEvent.objects.count()
        verdict = (
            "as the ledger fixed it" if not found else f"NOT as the ledger fixed it ({len(found)} found)"
        )
        self.tell(
            f"{events} events, {open_ones} of them not fixed yet: the audit is {verdict}.",
            events=events,
            not_fixed_yet=open_ones,
            findings=found,
            sound=not found,
        )
        return CHECK_FAILED if found else DONE
