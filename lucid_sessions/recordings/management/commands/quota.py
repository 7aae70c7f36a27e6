"""manage.py quota: how full the archive is; --project NAME GB limits a project."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused
from lucid_sessions.recordings import quota
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Show what is used of every limit. Exit 1 when one is reached, so that nothing new is recorded."
    examples = ("", "--project payments 250", "--project payments none")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--project", nargs=2, metavar=("NAME", "GB"), help="limit a project; `none`: no limit"
        )

    def run(self, options: dict[str, Any]) -> int:
        if options["project"]:
            name, size = options["project"]
            quota.limit_project(name, gigabytes=_size(size))
        quota.tick()
        usages = quota.usages()
        facts = [
            {"what": one.what, "used": one.used, "limit": one.limit, "percent": one.percent} for one in usages
        ]
        self.tell("\n".join(str(one) for one in usages), usages=facts)
        return CHECK_FAILED if any(one.level == 100 for one in usages) else DONE


def _size(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise Refused(f"{text!r} is no size: give GiB, such as 250, or `none`.") from None
