"""manage.py drill: lose an installation of its own on purpose, restore it, and say how long that took."""

import os
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from lucid_sessions.errors import Refused
from lucid_sessions.operations import drill, embedded, premises, programs
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base

READY = "LUCID_DRILL_IS_PREPARED"
MARK = "made-by-drill"


class Command(Base):
    help = "Record, back up, destroy, restore, compare: a disaster in a home of its own. About half a minute."
    examples = ("--sessions 20 --seconds 10",)

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--home",
            type=Path,
            default=settings.BASE_DIR / "var" / "drill",
            help="where it works (var/drill)",
        )
        parser.add_argument("--sessions", type=int, default=3, help="how many must come back bit-exact")
        parser.add_argument("--seconds", type=float, default=3.0, help="how long each is recorded")

    def run(self, options: dict[str, Any]) -> int:
        if options["sessions"] < 1:
            raise Refused("--sessions is 1 session or more.")
        root = options["home"].absolute()
        if os.environ.get(READY) != str(root):
            self._begin(root)
        with premises.held(root):
            return self._drill(root, options["sessions"], seconds=options["seconds"])

    def _begin(self, root: Path) -> None:
        """A fresh home, and a process whose settings know its keys."""
        env = {**programs.apart(root / "home"), READY: str(root)}
        # The drill measures recovery, not how much room the machine has; it tells nobody's workers, and says
        # by itself what it does.
        env |= {"LUCID_STORAGE_MIN_FREE_GIB": "0", "REDIS_URL": "redis://127.0.0.1:9/0"}
        env.setdefault("LOG_LEVEL", "WARNING")
        with premises.held(root):
            _empty(root)
            embedded.prepare(env)
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *sys.argv[1:]]
        os.execve(command[0], command, env)  # noqa: S606

    def _drill(self, root: Path, count: int, *, seconds: float) -> int:
        shelf = root / "backups"
        names = [f"drill {number + 1}" for number in range(count)]
        self._step(f"Recording {count} sessions of {seconds:g} s, and one to be shredded ...")
        with drill.recorder(root / "home" / "log" / "recorder.log"):
            *_, doomed = drill.record([*names, drill.SHREDDED], seconds=seconds)
            drill.backup(shelf)
            self._step("Backed up. Shredding one session, and backing up again ...")
            drill.shred(doomed)
            backup_seconds = drill.backup(shelf)
            backed_up = time.time()
            (late,) = drill.record([drill.LATE], seconds=seconds)
        before = drill.fingerprints()
        drill.destroy()
        rpo = time.time() - backed_up
        self._step("Destroyed: database, blobs, log, keys, spool. Restoring ...")
        restored, verified = drill.restore(shelf), drill.verify()
        outcome = drill.compare(before, shredded=str(doomed.pk), late=str(late.pk))
        outcome.backup_seconds, outcome.restore_seconds = backup_seconds, restored
        outcome.verify_seconds, outcome.rpo_seconds = verified, rpo
        return self._verdict(outcome)

    def _step(self, text: str) -> None:
        self.stderr.write(text)

    def _verdict(self, found: drill.Outcome) -> int:
        passed = found.exact == found.sessions > 0 and not found.readable_shredded
        self.tell(
            f"{found.exact} of {found.sessions} sessions came back bit-exact, verified and decrypted.\n"
            f"{found.readable_shredded} shredded sessions are readable.\n"
            f"RTO {found.restore_seconds + found.verify_seconds:.1f} s "
            f"(restore {found.restore_seconds:.1f} s, verify everything {found.verify_seconds:.1f} s).\n"
            f"RPO {found.rpo_seconds:.1f} s: what was recorded since the last backup is lost "
            f"({found.lost_late} session here).\n"
            f"{'The drill passed.' if passed else 'THE DRILL FAILED.'}",
            passed=passed,
            **asdict(found),
        )
        return DONE if passed else CHECK_FAILED


def _empty(root: Path) -> None:
    """A drill removes nothing but what an earlier one made."""
    entries = [entry for entry in root.iterdir() if entry.name != premises.LOCK]
    if entries and not (root / MARK).is_file():
        raise Refused(f"{root} holds what no drill made: choose another directory with --home.")
    for entry in entries:
        if entry.is_dir():
            shutil.rmtree(entry)
    (root / MARK).touch()
