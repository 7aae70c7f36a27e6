"""manage.py restore DIR [--keys DIR2] [--over] [--verify]: an installation from its backup."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused
from lucid_sessions.operations import premises
from lucid_sessions.operations.backup import restoring
from lucid_sessions.operations.backup.progress import lines_of, shown
from lucid_sessions.operations.backup.shelves import named
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base

IN_PLACE = "An earlier run had put the database in place: it stays as it is; --over replaces it.\n"


class Command(Base):
    help = "Restore a backup into an empty installation, or --over a damaged one. Stop the services first."
    examples = (
        "/backup/lucid --keys /vault/lucid-keys --verify",
        "/backup/lucid --keys /vault/lucid-keys --over --log adopt",
    )

    def arguments(self, parser: CommandParser) -> None:
        where = "a directory, or s3://bucket/prefix?endpoint=…; else LUCID_BACKUP_URL"
        parser.add_argument("directory", nargs="?", default="", help=where)
        parser.add_argument("--keys", type=Path, help="where the key backup is, if not in the directory")
        parser.add_argument("--snapshot", default="", help="its id; else the newest")
        parser.add_argument("--over", action="store_true", help="over an installation that is not empty")
        parser.add_argument("--log", choices=("keep", "adopt", "continue"), default="keep")
        parser.add_argument("--origin", default="", help="the name of the new log (with --log continue)")
        parser.add_argument("--spool-lost", action="append", default=[], help="a spool's id, or all")
        parser.add_argument("--verify", action="store_true", help="then verify and decrypt every session")

    def run(self, options: dict[str, Any]) -> int:
        shelf, keys_apart = named(options["directory"], options["keys"])
        wish = restoring.Wish(
            shelf=shelf,
            keys=keys_apart,
            snapshot=options["snapshot"],
            over=options["over"],
            log=options["log"],
            origin=options["origin"],
            lost_spools=tuple(options["spool_lost"]),
        )
        if (wish.log == "continue") != bool(wish.origin):
            raise Refused("--log continue and --origin NAME belong together.")
        stopped = premises.held(settings.LUCID_HOME) if settings.EMBEDDED else nullcontext()
        with stopped, shown() as tell:
            done = restoring.restore(installation(), wish, tell=tell)
        found = done.recovered
        self.tell(
            f"Restored {done.snapshot} (made {done.made_at:%Y-%m-%d %H:%M:%S} UTC): {done.blobs} blobs "
            f"({done.written} written, {done.written_bytes / 1e6:.1f} MB), {done.records} log records, "
            f"{done.shredded} shredded sessions left out.\n"
            f"{IN_PLACE if done.in_place else ''}"
            f"Since then, by the log: {found.records} records, {found.chunks} chunks, "
            f"{found.sessions} sessions.\n"
            f"{done.sealing}",
            **asdict(done),
        )
        for problem in lines_of(done.problems):
            self.stderr.write(problem)
        code = CHECK_FAILED if done.problems else DONE
        return max(code, verify_all(settings.BASE_DIR)) if options["verify"] else code


def verify_all(base: Path) -> int:
    """The exit code of `verify --all --deep`, in a process whose settings know the restored keys."""
    command = [sys.executable, str(base / "manage.py"), "verify", "--all", "--deep"]
    return subprocess.run(command, cwd=base, check=False).returncode
