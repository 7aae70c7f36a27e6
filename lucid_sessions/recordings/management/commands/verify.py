"""manage.py verify [SESSION | --all] [--deep]: is it what was sealed, and is it all there?"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.recordings import reports, tombstones, verification
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE, SESSION, session_argument
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Session

UNREADABLE = (Status.CREATED, Status.EXPIRING, Status.DELETED)


class Command(Base):
    help = "Verify sessions against the signed log; --deep also decrypts. Exit 1 when a check failed."
    examples = ('"deploy db-7" --deep', "--all")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", nargs="?", type=session_argument, help=SESSION)
        parser.add_argument("--all", action="store_true", help="every session, and the log itself")
        parser.add_argument("--deep", action="store_true", help="decrypt and compare with what was recorded")

    def run(self, options: dict[str, Any]) -> int:
        if bool(options["session"]) == options["all"]:
            raise Refused("Name one session, or --all.")
        chosen = [options["session"]] if options["session"] else self._everything()
        found = list(self._verified(chosen, deep=options["deep"], named=not options["all"]))
        if options["all"]:
            found.append(("the log", verification.verify_log()))
        if self.as_json:
            self.tell("", reports=[reports.told(name, report) for name, report in found])
        else:
            self._print(found)
        return DONE if all(report.sound for _, report in found) else CHECK_FAILED

    def _verified(
        self, chosen: Sequence[Session], *, deep: bool, named: bool
    ) -> Iterator[tuple[str, verification.Report]]:
        for session in chosen:
            try:
                yield session.name, reports.verified(session, key=uuid4().hex, deep=deep)
            except Retryable:
                # One that goes meanwhile is none of all any more, and costs the others' reports nothing.
                if named or not tombstones.is_gone(session.pk):
                    raise

    def _everything(self) -> list[Session]:
        return list(Session.objects.exclude(status__in=UNREADABLE).order_by("created_at"))

    def _print(self, found: list[tuple[str, verification.Report]]) -> None:
        for name, report in found:
            self.stdout.write(f"{name}: {report.verdict}")
            for finding in report.findings:
                self.stdout.write(f"  {finding.where}: {finding.problem}")
            for lost in report.missing:
                self.stdout.write(
                    f"  missing: track {lost['track']}, sequence {lost['sequence']}: {lost['reason']}"
                )
            for gap in report.gaps:
                span = f"{gap['from_us'] / 1e6:.1f} s to {gap['to_us'] / 1e6:.1f} s"
                self.stdout.write(f"  gap: track {gap['track']}, {span}: {gap['reason']}")
