"""manage.py recorder: records what is wanted on this host, and files what the spool holds."""

import math
import signal
import threading
import time
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.core.management.base import CommandParser
from django.db import DatabaseError, close_old_connections

from lucid_sessions.errors import LucidError
from lucid_sessions.recordings import adoption, clearing, hints, intake, setbacks
from lucid_sessions.recordings.host import DatabaseView
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.spool_mirror import mirror_of
from recorder.budget import SHARE, usable_cores
from recorder.errors import RecorderError
from recorder.supervisor import Policy, Supervisor

log = structlog.get_logger(__name__)

# Without news from a child the spool is still looked at this often.
SCAN_SECONDS = 1.0
# Expired sessions leave this spool within so many seconds.
CLEAR_SECONDS = 30.0


class Command(Base):
    help = "Run the recorder of this host: one supervisor, one child process per session."
    examples = ("", "--host desk-3")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", help="this host's name in the database (LUCID_HOST)")

    def run(self, options: dict[str, Any]) -> int:
        hints.connect()

        spool, mirror = installation().spool, mirror_of(installation())
        spool.set_mirrored(mirror is not None)
        named = {"host": options["host"]} if options["host"] else {}
        view = DatabaseView(spool, intake.Intake(spool, mirror), **named)
        filing = Filing(intake.Intake(spool, mirror))
        policy = Policy(
            maximum_sessions=settings.LUCID_MAX_SESSIONS,
            cores=settings.LUCID_RECORDER_CORES or SHARE * usable_cores(),
            allowed_targets=tuple(settings.LUCID_TARGET_ALLOW),
            minimum_free_bytes=int(settings.LUCID_STORAGE_MIN_FREE_GIB * 1024**3),
        )
        supervisor = Supervisor(
            spool, view, host=view.host, policy=policy, committed=filing.soon, loaded=view.note_load
        )
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: supervisor.stop())
        filing.start()
        log.info("the recorder is ready", host=view.host, spool=spool.identity)
        try:
            supervisor.run()
        finally:
            filing.finish()
        return DONE


class Filing(threading.Thread):
    """Rows and hints as soon as segments are committed; what could not be filed is found again later."""

    def __init__(self, files: intake.Intake) -> None:
        super().__init__(name="intake", daemon=True)
        self.files = files
        self._soon = threading.Event()
        self._told: set[UUID] = set()
        self._over = False
        self._clear_at = 0.0
        self._adopted_at = 0.0

    def soon(self, session: UUID, _take: int) -> None:
        """A segment was committed."""
        self._told.add(session)
        self._soon.set()

    def finish(self) -> None:
        """One more look, then the end."""
        self._over = True
        self._soon.set()
        self.join()

    def run(self) -> None:
        while not self._over:
            self._soon.wait(SCAN_SECONDS)
            self._soon.clear()
            self._acknowledge()
            try:
                self._file_adopted()
                self.files.scan()
                self.files.release()
                # Beat's tick runs on any host; a host's dead can be known on it alone.
                setbacks.let_go_of_the_dead(installation().presence)
                self._clear()
            except (DatabaseError, LucidError, RecorderError, OSError) as error:
                log.warning("spool not filed", reason=str(error))
                self._rest()
            except Exception:
                # What nobody foresaw must not end the filing of everything for good.
                log.exception("spool not filed")
                self._rest()

    def _rest(self) -> None:
        close_old_connections()
        time.sleep(SCAN_SECONDS)

    def _acknowledge(self) -> None:
        """Copy what is held; while the store is away it stays held, and what counts already is filed."""
        try:
            self.files.wake(self._told)
            self.files.acknowledge()
        except (LucidError, RecorderError, OSError) as error:
            log.warning("segments wait for their second copy", reason=str(error))

    def _file_adopted(self) -> None:
        """What was adopted here is filed once more: the database may be a restored one, of a time before."""
        if time.monotonic() >= self._adopted_at:
            waits = adoption.file_again(installation()).waits
            self._adopted_at = time.monotonic() + CLEAR_SECONDS if waits else math.inf

    def _clear(self) -> None:
        """What expired goes from this spool too: only its own host can say that it did."""
        if time.monotonic() >= self._clear_at:
            clearing.clear_here(installation())
            self._clear_at = time.monotonic() + CLEAR_SECONDS
