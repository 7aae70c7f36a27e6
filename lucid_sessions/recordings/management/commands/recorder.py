"""manage.py recorder: records what is wanted on this host, and files what the spool holds."""

import signal
import threading
from typing import Any

import structlog
from django.core.management.base import CommandParser
from django.db import DatabaseError, close_old_connections

from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import intake
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base
from recorder.errors import RecorderError
from recorder.supervisor import Supervisor

log = structlog.get_logger(__name__)

SCAN_SECONDS = 0.25
RELEASE_EVERY = 8


class Command(Base):
    help = "Run the recorder of this host: one supervisor, one child process per session."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", help="this host's name in the database (LUCID_HOST)")

    def run(self, options: dict[str, Any]) -> int:
        import tasks.celery  # noqa: F401

        spool = installation().spool
        view = DatabaseView(
            spool, intake.Intake(spool), **({"host": options["host"]} if options["host"] else {})
        )
        supervisor = Supervisor(spool, view, host=view.host)
        done = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: supervisor.stop())
        filing = threading.Thread(target=_file, args=(intake.Intake(spool), done), name="intake", daemon=True)
        filing.start()
        try:
            supervisor.run()
        finally:
            done.set()
            filing.join()
        return DONE


def _file(files: intake.Intake, done: threading.Event) -> None:
    """Rows and hints as soon as segments are committed; what could not be filed now is found again later."""
    round_number = 0
    while not done.wait(SCAN_SECONDS):
        round_number += 1
        try:
            files.scan()
            if round_number % RELEASE_EVERY == 0:
                intake.release(files.spool)
        except (DatabaseError, LucidError, RecorderError, OSError) as error:
            log.warning("spool not filed", reason=str(error))
            close_old_connections()
            done.wait(1.0)
