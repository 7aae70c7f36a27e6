"""`python -m recorder.child`: records one take.

One line of orders comes on standard input, then `pause`, `resume` and `stop`; lines of JSON go out. The end
of the input means that the supervisor is gone: the child closes its recording and ends.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from recorder.errors import DiskFull, RecorderError, SpoolUnwritable
from recorder.importing import FileImport
from recorder.live import LiveRecording
from recorder.names import Ending
from recorder.orders import Mailbox, Orders, Reporter
from recorder.sources import open_source
from recorder.sources.file import FileSource
from recorder.spool import Spool
from recorder.take import Take

STOP_WITHIN = 15  # seconds for closing after a stop; then the child ends itself and its `.part` is recovered
LAST_WORDS_WITHIN = 3
EXIT_FAILED = 3
PR_SET_PDEATHSIG = 1


class Recording(Protocol):
    """One take being recorded, of whatever source."""

    @property
    def trouble(self) -> DiskFull | SpoolUnwritable | None: ...
    def run(self) -> str: ...
    def finish(self) -> int: ...
    def facts(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class Outcome:
    """How a take ended."""

    ending: Ending
    reason: str


def main() -> int:
    """Record as ordered; 0 when it ended as wished, 3 when it failed with a reason that was told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the supervisor: it decides
    _die_with_parent()
    lines = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- lives as long as we do
    orders = Orders.from_json(lines.readline())
    mailbox = Mailbox(lines, on_stop=_limit_the_end)
    signal.signal(signal.SIGTERM, lambda *_: mailbox.stop("stopped by a signal", ending="interrupted"))
    outcome = _record(orders, mailbox, reporter=_reporter(mailbox))
    return EXIT_FAILED if outcome.ending == "failed" else 0


def _record(orders: Orders, mailbox: Mailbox, *, reporter: Reporter) -> Outcome:
    facts: dict[str, Any] = {}
    try:
        take = Take(Spool(Path(orders.spool)), orders.session, take=orders.take)
    except RecorderError as error:
        outcome = Outcome("failed", str(error))
    else:
        try:
            recording = _open(take, orders, mailbox=mailbox, reporter=reporter)
        except RecorderError as error:
            outcome, end_us = Outcome("failed", str(error)), _start_us(orders)
        else:
            outcome, end_us = _finish(recording, _run(recording, mailbox))
            facts = recording.facts()
        facts["end_us"] = end_us
        outcome = _close(take, outcome, end_us=end_us)
    reporter.tell(outcome.ending, reason=outcome.reason, **facts)
    reporter.flush(LAST_WORDS_WITHIN)
    return outcome


def _close(take: Take, outcome: Outcome, *, end_us: int) -> Outcome:
    """Close the take; when even that cannot be written, recovery does it once there is room."""
    try:
        take.close(end_us, reason=outcome.reason, ending=outcome.ending)
    except RecorderError as error:
        return outcome if outcome.ending == "failed" else Outcome("failed", str(error))
    return outcome


def _open(take: Take, orders: Orders, *, mailbox: Mailbox, reporter: Reporter) -> Recording:
    source = open_source(orders.source, orders.settings)
    if isinstance(source, FileSource):
        return FileImport(take, orders, source=source, mailbox=mailbox, reporter=reporter)
    return LiveRecording(take, orders, source=source, mailbox=mailbox, reporter=reporter)


def _run(recording: Recording, mailbox: Mailbox) -> Outcome:
    try:
        return Outcome(reason=recording.run(), ending=mailbox.ending)
    except RecorderError as error:
        return Outcome("failed", str(error))


def _finish(recording: Recording, outcome: Outcome) -> tuple[Outcome, int]:
    """Close the recording; trouble of the disk that shows only now is the outcome then."""
    end_us = recording.finish()
    if recording.trouble is not None and outcome.ending != "failed":
        return Outcome("failed", str(recording.trouble)), end_us
    return outcome, end_us


def _start_us(orders: Orders) -> int:
    return orders.missing.from_us if orders.missing else orders.resume_us.get("screen", 0)


def _reporter(mailbox: Mailbox) -> Reporter:
    os.set_blocking(1, False)
    return Reporter(lambda line: os.write(1, line), on_broken=mailbox.supervisor_is_gone)


def _die_with_parent() -> None:
    """A backstop to the end of input: SIGTERM when the supervisor's thread ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _limit_the_end() -> None:
    """From the moment of a stop the child has a bounded time, even when a source hangs in a system call."""
    faulthandler.dump_traceback_later(STOP_WITHIN, exit=True, file=sys.stderr)


if __name__ == "__main__":
    os._exit(main())  # the thread that waits for commands would hold up an ordinary exit
