"""manage.py migrate_store --export FILE | --import FILE: every row from one kind of database to another."""

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandParser

from lucid_sessions.durable import blaming
from lucid_sessions.errors import Refused
from lucid_sessions.operations.backup import engines, rows
from lucid_sessions.operations.backup.point import one_point
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE, output_argument
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.models import Session


class Command(Base):
    help = (
        "Move an installation between SQLite and MongoDB: stop the services, --export FILE, point "
        "DATABASE_URL or MONGODB_URL at the new database, --import FILE. Blobs, log and keys stay."
    )
    examples = ("--export rows.zst", "--import rows.zst")

    def arguments(self, parser: CommandParser) -> None:
        ways = parser.add_mutually_exclusive_group(required=True)
        ways.add_argument("--export", type=output_argument, metavar="FILE", help="write all rows to it")
        ways.add_argument("--import", type=Path, metavar="FILE", dest="source", help="make the rows of it")
        parser.add_argument("--again", action="store_true", help="go on with an import that was interrupted")

    def run(self, options: dict[str, Any]) -> int:
        return self._export(options["export"]) if options["export"] else self._import(options)

    def _export(self, target: Path) -> int:
        part = target.with_name(f"{target.name}.part")
        with one_point():
            count = rows.dump(part)
            lost = rows.differences(rows.read(part))
        with blaming("rename", part):
            part.rename(target)
        self.tell(f"{count} rows of {engines.engine()} are in {target}, read back.", rows=count, file=target)
        return CHECK_FAILED if lost else DONE

    def _import(self, options: dict[str, Any]) -> int:
        source = options["source"]
        if not source.is_file():
            raise Refused(f"There is no file {source}")
        for _ in rows.read(source):
            pass  # what is damaged, or cut off, is found out before anything is written
        call_command("migrate", interactive=False, verbosity=0)
        if Session.objects.exists() and not options["again"]:
            raise Refused(
                f"The {engines.engine()} database holds sessions: import into an empty one, or go on with "
                "--again."
            )
        count = rows.load(rows.read(source))
        different = rows.differences(rows.read(source))
        for line in different[:20]:
            self.stderr.write(line)
        self.tell(
            f"{count} rows are in {engines.engine()}; compared row by row: {len(different)} differ.",
            rows=count,
            different=len(different),
        )
        return CHECK_FAILED if different else DONE
