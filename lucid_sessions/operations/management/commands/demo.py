"""manage.py demo: record ten seconds, archive, verify, export, catch a forgery; then stop everything."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from rich.console import Console

from lucid_sessions.errors import Refused
from lucid_sessions.operations import demo, embedded, premises, private_redis, programs
from lucid_sessions.operations.demo_display import Display
from lucid_sessions.operations.embedded import Layout
from lucid_sessions.operations.stack import hold_signals, stop_on_signals
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base

# Set in the process that shows: the one before it only made the keys, which settings read at start-up.
READY = "LUCID_DEMO_IS_PREPARED"
MARK = "made-by-demo"
INTERRUPTED = 130


class Command(Base):
    help = "Show the whole chain on a synthetic desktop, with real workers; about half a minute."
    examples = ("",)

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--home",
            type=Path,
            default=settings.BASE_DIR / "var" / "demo",
            help="where it works; emptied at the beginning, kept at the end",
        )

    def run(self, options: dict[str, Any]) -> int:
        # Where nobody looks at it a table need not be as narrow as a terminal.
        self.display = Display(Console(stderr=self.as_json, width=None if sys.stdout.isatty() else 120))
        stop_on_signals()
        try:
            if os.environ.get(READY) != str(settings.LUCID_HOME):
                self._begin(options["home"].absolute())
            with premises.held(settings.LUCID_HOME):
                self._show()
        except KeyboardInterrupt:
            self.stderr.write("Interrupted: everything that was started has been stopped.")
            return INTERRUPTED
        return DONE

    def _begin(self, home: Path) -> None:
        """Make a fresh home, and go on as a process whose settings know its keys."""
        env = {**programs.apart(home), READY: str(home)}
        with premises.held(home):
            _empty(home)
            embedded.prepare(env)
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *sys.argv[1:]]
        hold_signals()
        os.execve(command[0], command, env)  # noqa: S606

    def _show(self) -> None:
        redis = private_redis.choose(settings.LUCID_HOME)
        self.display.step(f"Redis: {redis.program}")
        with embedded.stack(Layout(), redis=redis, say=self.stderr.write) as stack:
            embedded.start(stack, redis)
            self.display.step(f"Recording {demo.SOURCE} for {demo.SECONDS:.0f} s with real workers ...")
            session = demo.record()
            with self.display.watching(demo.SECONDS) as show:
                demo.follow(session, tend=stack.tend, show=show)
            report = demo.verify(session)
            self.display.step(f"Verified: {report.verdict}.")
            mp4 = demo.export(session, settings.LUCID_HOME / "demo.mp4")
            self.display.step(f"Exported: {premises.shown(mp4)}")
            forgery = demo.forge(session, settings.LUCID_HOME / "copy" / "blobs")
            self.display.step("Flipped one byte in a copy of the store; verification of the copy says:")
            for finding in forgery.findings:
                self.display.step(f"  {finding.where}: {finding.problem}")
        self.display.summary(session, report, forgery=forgery, mp4=mp4, logs=embedded.logs())
        if self.as_json:
            self.tell("", session=session.pk, verdict=report.verdict, root=report.root, mp4=mp4)


def _empty(home: Path) -> None:
    """A demonstration starts from nothing, and removes nothing but what an earlier one made."""
    entries = [entry for entry in home.iterdir() if entry.name != premises.LOCK]
    if entries and not (home / MARK).is_file():
        raise Refused(f"{home} holds what no demonstration made: choose another directory with --home.")
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARK:
            entry.unlink()
    (home / MARK).touch()
