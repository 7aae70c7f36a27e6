"""manage.py retention: what is too old, and why; --apply lets it go. Policies and the clock, too."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused
from lucid_sessions.recordings import clock_guard, retention, shredding
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Session


class Command(Base):
    help = "Show which sessions are too old, and why. Nothing goes without --apply."
    examples = ("--within 7", "--apply", "--keep project=payments 365", "--forget project=payments")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="let them go")
        parser.add_argument(
            "--within", type=int, default=0, metavar="DAYS", help="show what will be too old then"
        )
        parser.add_argument("--limit", type=int, default=1000, help="at most so many sessions")
        parser.add_argument("--policies", action="store_true", help="list the policies")
        parser.add_argument(
            "--keep", nargs=2, metavar=("SCOPE", "DAYS"), help="set a policy: --keep project=payments 365"
        )
        parser.add_argument("--forget", metavar="SCOPE", help="remove a policy")
        parser.add_argument(
            "--confirm-clock", action="store_true", help="the date is right: go on deleting by age"
        )

    def run(self, options: dict[str, Any]) -> int:
        if not 0 <= options["within"] <= retention.MOST_DAYS or options["limit"] < 1:
            raise Refused(f"--within is 0 to {retention.MOST_DAYS} days, --limit 1 session or more.")
        if options["apply"] and options["within"]:
            raise Refused("--apply takes what is due now: --within only shows.")
        if options["confirm_clock"]:
            clock_guard.confirm(clock_guard.read())
            self.tell("The clock is confirmed: sessions expire by age again.", confirmed=True)
        elif options["keep"]:
            self._keep(*options["keep"])
        elif options["forget"]:
            retention.forget(options["forget"])
            self.tell(f"There is no policy for {options['forget']} any more.", forgotten=options["forget"])
        elif options["policies"]:
            self._policies()
        else:
            self._expire(options) if options["apply"] else self._preview(options)
        return DONE

    def _keep(self, scope: str, days: str) -> None:
        if not days.isdecimal():
            raise Refused(f"{days!r} is no number of days.")
        policy = retention.keep(scope, days=int(days))
        self.tell(f"Sessions of {policy} are kept {days} days.", scope=scope, days=int(days))

    def _policies(self) -> None:
        known = retention.known_policies()
        known.setdefault(("default", ""), retention.DEFAULT_DAYS)
        lines = [
            f"{scope}{'=' if value else ''}{value}: {days} days"
            for (scope, value), days in sorted(known.items())
        ]
        facts = [{"scope": scope, "value": value, "days": days} for (scope, value), days in known.items()]
        self.tell("\n".join(lines), policies=facts)

    def _preview(self, options: dict[str, Any]) -> None:
        found = list(self._limited(retention.due(within=timedelta(days=options["within"])), options["limit"]))
        doubt = clock_guard.look(clock_guard.read())
        lines = [_line(one) for one in found] or ["Nothing is too old."]
        lines += [f"expiring  {session.name}: waits for {', '.join(waits)}" for session, waits in _expiring()]
        if any(not one.obstacle for one in found):
            lines.append(
                "Nothing was deleted. --apply lets go what is due today."
                if options["within"]
                else "Nothing was deleted. To let these go: --apply."
            )
        self.tell("\n".join([*lines, *([doubt] if doubt else [])]), sessions=_facts(found), clock=doubt)

    def _expire(self, options: dict[str, Any]) -> None:
        candidates = self._limited(retention.due(), options["limit"])
        begun = retention.apply(candidates, world=installation(), now=clock_guard.read())
        lines = [f"expires  {one.session.name}: {one.why}" for one in begun] or ["Nothing is too old."]
        self.tell("\n".join(lines), expired=_facts(begun))

    def _limited(self, found: Iterator[retention.Candidate], limit: int) -> Iterator[retention.Candidate]:
        for number, one in enumerate(found):
            if number == limit:
                self.stderr.write(f"There are more than {limit}: raise --limit.")
                return
            yield one


def _line(one: retention.Candidate) -> str:
    if one.obstacle:
        return f"stays  {one.session.name}: {one.why}; but {one.obstacle}"
    return f"goes   {one.session.name}: {one.why}"


def _facts(found: list[retention.Candidate]) -> list[dict[str, Any]]:
    return [
        {
            "session": one.session.pk,
            "due": one.due,
            "why": one.why,
            "days": one.rule.days,
            "obstacle": one.obstacle,
        }
        for one in found
    ]


def _expiring() -> Iterator[tuple[Session, list[str]]]:
    for session in Session.objects.filter(status=Status.EXPIRING).order_by("ended_at", "pk")[:100]:
        yield session, list(shredding.waits_for(session)) or ["its record"]
