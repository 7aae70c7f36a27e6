"""manage.py backup DIR [--keys DIR2]: a consistent, signed, incremental backup; --check reads one again."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.operations.backup import checking, making
from lucid_sessions.operations.backup.progress import lines_of, shown
from lucid_sessions.operations.backup.retaining import Policy
from lucid_sessions.operations.backup.shelves import named
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Back up metadata, log, blobs and keys while everything runs. Needs no ENCRYPTION_PASSWORD."
    examples = (
        "/backup/lucid --keys /vault/lucid-keys",
        "/backup/lucid --check",
        '"s3://bucket/lucid?endpoint=https://s3.example"',
    )

    def arguments(self, parser: CommandParser) -> None:
        where = "a directory, or s3://bucket/prefix?endpoint=…; else LUCID_BACKUP_URL"
        parser.add_argument("directory", nargs="?", default="", help=where)
        parser.add_argument("--keys", type=Path, help="keep the key backup there, away from the rest")
        parser.add_argument("--keep-days", type=_count, default=7, help="all snapshots of so many days (7)")
        parser.add_argument("--keep-daily", type=_count, default=0, help="beyond: one a day, so many")
        parser.add_argument("--keep-weekly", type=_count, default=0, help="beyond: one a week, so many")
        parser.add_argument("--keep-monthly", type=_count, default=0, help="beyond: one a month, so many")
        parser.add_argument("--keys-days", type=_count, default=7, help="age limit of the key backups (7)")
        parser.add_argument("--copy", action="store_true", help="no hard links on one file system")
        parser.add_argument("--anew", action="store_true", help="at a place that is empty now, as a new disk")
        parser.add_argument(
            "--rows", choices=("auto", "always", "never"), default="auto", help="the portable rows too"
        )
        parser.add_argument(
            "--check", action="store_true", help="read a snapshot again instead of making one"
        )
        parser.add_argument("--snapshot", default="", help="which one to check; else the newest")

    def run(self, options: dict[str, Any]) -> int:
        return self._check(options) if options["check"] else self._make(options)

    def _make(self, options: dict[str, Any]) -> int:
        kept = {name: options[f"keep_{name}"] for name in ("days", "daily", "weekly", "monthly")}
        shelf, keys_apart = named(options["directory"], options["keys"])
        orders = making.Orders(
            shelf=shelf,
            keys=keys_apart,
            policy=Policy(**kept),
            keys_days=options["keys_days"],
            link=not options["copy"],
            rows=options["rows"],
            anew=options["anew"],
        )
        with shown() as tell:
            made = making.make(installation(), orders, tell=tell)
        keys = orders.keys or f"{orders.shelf}/keys".replace("//keys", "/keys")
        linked = making.shares_disk(installation(), orders)
        lines = [
            f"Snapshot {made.snapshot}: {made.blobs} blobs "
            f"({made.new_blobs} new, {made.new_bytes / 1e6:.1f} MB), "
            f"{made.records} log records, {made.key_files} key files; all read back.",
            f"Keys: {keys}, for {orders.keys_days} days. A shredded session is unrecoverable after that.",
            *(["It lies on the same disk as the store: copy it to another one too."] if linked else []),
            *([f"Pruned: {', '.join(made.pruned)}"] if made.pruned else []),
        ]
        self._report(lines, {**vars(made), "keys": keys})
        return CHECK_FAILED if made.problems else DONE

    def _check(self, options: dict[str, Any]) -> int:
        with shown() as tell:
            found = checking.check(
                named(options["directory"], None)[0],
                options["snapshot"],
                credentials=installation().credentials,
                tell=lambda done, total: tell("blobs", done, total),
            )
        line = (
            f"Snapshot {found.snapshot}: {found.blobs} blobs ({found.read_bytes / 1e6:.1f} MB), "
            f"{found.records} log records, {found.keys} key backups read again: "
            f"{'NOT WHOLE' if found.problems else 'whole'}."
        )
        self._report([line], vars(found))
        return CHECK_FAILED if found.problems else DONE

    def _report(self, lines: list[str], facts: dict[str, Any]) -> None:
        self.tell("\n".join(lines), **facts)
        for problem in lines_of(facts["problems"]):
            self.stderr.write(problem)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number
