"""manage.py spool list|adopt ID: what second copies of spools there are, and taking over a lost host's."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused
from lucid_sessions.recordings import adoption, hints, lost_hosts
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Take


class Command(Base):
    help = "With LUCID_SPOOL=s3: list the spools that have second copies, or take over a lost host's."
    examples = ("list", "adopt 8c3d7a1c")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=("list", "adopt"))
        parser.add_argument("spool", nargs="?", default="", help="adopt: the id of the lost host's spool")

    def run(self, options: dict[str, Any]) -> int:
        return self._adopt(options["spool"]) if options["verb"] == "adopt" else self._list()

    def _list(self) -> int:
        hosts = dict(Take.objects.order_by("claimed_at").values_list("spool", "host"))
        mine, copies = installation().spool.identity, adoption.known(installation())
        lines = [
            f"{spool}  {hosts.get(spool, 'unknown host'):20} {copies.get(spool, 0)} copies"
            f"{'  (this host)' if spool == mine else ''}"
            for spool in sorted({*hosts, *copies})
        ]
        self.tell("\n".join(lines) or "There is no spool yet.", copies=copies, hosts=hosts, mine=mine)
        return DONE

    def _adopt(self, spool: str) -> int:
        if not spool:
            raise Refused("Say which: `manage.py spool list` shows them.")
        hints.connect()
        lost_hosts.listen(spool)
        done = adoption.adopt(installation(), spool)
        self.tell(
            f"Spool {spool} is adopted: {done.segments} segments, {done.markers} markers, "
            f"{done.takes} takes ended. They are processed here now.",
            **vars(done),
        )
        for problem in done.problems:
            self.stderr.write(problem)
        return CHECK_FAILED if done.problems else DONE
