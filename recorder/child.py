"""`python -m recorder.child`: records one take.

One line of orders comes on standard input, then `pause`, `resume` and `stop`; lines of JSON go out. The end
of the input means that the supervisor is gone: the child closes its recording and ends.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from recorder.clock import boot_ms
from recorder.end_limit import EndLimit
from recorder.errors import RecorderError, SourceAway, SourceLost, SourceOver, Trouble
from recorder.importing import FileImport
from recorder.live import LiveRecording
from recorder.memory import refuse_huge_pages
from recorder.names import Ending
from recorder.orders import Mailbox, Orders, Reporter
from recorder.sources import NOT_CHECKED, RECONNECTED, LiveSource, evidence_of, kind_of, open_source
from recorder.sources.file import FileSource
from recorder.sources.rtsp import RtspSource
from recorder.spool import Spool
from recorder.streaming import StreamRecording
from recorder.take import Take

# Seconds for closing after a stop, even when a source hangs in a system call, and again after each picture
# that is still encoded; then the child ends itself and its `.part` is recovered.
STOP_WITHIN = 15
LAST_WORDS_WITHIN = 3
OPEN_WITHIN, LOOK_EVERY = 60, 0.5
EXIT_FAILED = 3
PR_SET_PDEATHSIG = 1


class Recording(Protocol):
    """One take being recorded, of whatever source."""

    @property
    def trouble(self) -> Trouble | None: ...
    def run(self) -> str: ...
    def finish(self) -> int: ...
    def facts(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class Outcome:
    """How a take ended. `lost`: the source went away and may come back; another take tries."""

    ending: Ending
    reason: str
    lost: bool = False


Source = LiveSource | FileSource | RtspSource


def main() -> int:
    """Record as ordered; 0 when it ended as wished, 3 when it failed with a reason that was told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the supervisor: it decides
    _die_with_parent()
    refuse_huge_pages()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the target's password
    lines = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- lives as long as we do
    orders = Orders.from_json(lines.readline())
    mailbox = Mailbox(lines, on_stop=EndLimit(STOP_WITHIN).begin_anew)
    signal.signal(signal.SIGTERM, lambda *_: mailbox.stop("stopped by a signal", ending="interrupted"))
    return _exit_code(_record(orders, mailbox, reporter=_reporter(mailbox)))


def _record(orders: Orders, mailbox: Mailbox, *, reporter: Reporter) -> Outcome:
    try:
        take = Take(Spool(Path(orders.spool)), orders.session, take=orders.take)
    except RecorderError as error:
        return _told(Outcome("failed", str(error)), reporter)

    def leave() -> None:
        outcome = Outcome(mailbox.ending, mailbox.why)
        outcome = _end(take, outcome, orders, end_us=_start_us(orders), reporter=reporter)
        os._exit(_exit_code(outcome))

    try:
        with _unless_stopped(mailbox, reporter, leave=leave):
            source = open_source(orders.source, orders.settings, access=orders.access)
    except RecorderError as error:
        outcome = _failure(error, orders, begun=orders.missing is not None)
        return _end(take, outcome, orders, end_us=_start_us(orders), reporter=reporter)
    if evidence := evidence_of(source):
        reporter.tell("connected", **evidence)
    recording = _recording_of(source, take, orders, mailbox=mailbox, reporter=reporter)
    outcome, end_us = _finish(recording, _run(recording, mailbox, orders=orders))
    outcome = replace(outcome, reason=outcome.reason + _doubt(source))
    outcome = _end(take, outcome, orders, end_us=end_us, reporter=reporter, **recording.facts())
    source.close()
    return outcome


def _end(
    take: Take, outcome: Outcome, orders: Orders, *, end_us: int, reporter: Reporter, **facts: int
) -> Outcome:
    """Close the take and tell of its end; how it ended after all."""
    outcome = replace(outcome, reason=without_password(outcome.reason, orders.access.secret))
    facts |= {"end_us": end_us, "ended_boot_ms": boot_ms()}
    return _told(_close(take, outcome, end_us=end_us), reporter, **facts)


def _told(outcome: Outcome, reporter: Reporter, **facts: int) -> Outcome:
    reporter.tell(outcome.ending, reason=outcome.reason, **facts, **({"lost": True} if outcome.lost else {}))
    reporter.flush(LAST_WORDS_WITHIN)
    return outcome


def _exit_code(outcome: Outcome) -> int:
    return EXIT_FAILED if outcome.ending == "failed" else 0


def without_password(reason: str, secret: str) -> str:
    """The reason, which is kept for ever, without a password that some library put into an address."""
    for form in {secret, quote(secret), quote(secret, safe="")} - {""}:
        reason = reason.replace(f":{form}@", ":...@")
    return reason


def _close(take: Take, outcome: Outcome, *, end_us: int) -> Outcome:
    """Close the take; when even that cannot be written, recovery does it once there is room."""
    try:
        take.close(end_us, reason=outcome.reason, ending=outcome.ending)
    except RecorderError as error:
        return outcome if outcome.ending == "failed" else Outcome("failed", str(error))
    return outcome


@contextmanager
def _unless_stopped(mailbox: Mailbox, reporter: Reporter, *, leave: Callable[[], None]) -> Iterator[None]:
    """The supervisor hears that we live while a server takes its time; but not for ever.

    Told to stop meanwhile, nobody waits for the server: `leave` ends the process, and what it has started.
    """
    over, turn = threading.Event(), threading.Lock()

    def watch() -> None:
        until = time.monotonic() + OPEN_WITHIN
        while not over.wait(LOOK_EVERY):
            if time.monotonic() < until:
                reporter.beat()
            with turn:
                if mailbox.command == "stop" and not over.is_set():
                    leave()

    threading.Thread(target=watch, name="opening", daemon=True).start()
    try:
        yield
    finally:
        with turn:
            over.set()


def _recording_of(
    source: Source, take: Take, orders: Orders, *, mailbox: Mailbox, reporter: Reporter
) -> Recording:
    if isinstance(source, RtspSource):
        return StreamRecording(take, orders, source=source, mailbox=mailbox, reporter=reporter)
    if isinstance(source, FileSource):
        return FileImport(take, orders, source=source, mailbox=mailbox, reporter=reporter)
    return LiveRecording(take, orders, source=source, mailbox=mailbox, reporter=reporter)


def _run(recording: Recording, mailbox: Mailbox, *, orders: Orders) -> Outcome:
    try:
        return Outcome(reason=recording.run(), ending=mailbox.ending)
    except SourceOver as over:
        return Outcome("ended", str(over))
    except RecorderError as error:
        return _failure(error, orders, begun=True)


def _failure(error: RecorderError, orders: Orders, *, begun: bool) -> Outcome:
    """What an error comes to: another machine that was recorded and went away is tried again."""
    goes_on = orders.settings.reconnect and kind_of(orders.source) in RECONNECTED
    if begun and goes_on and isinstance(error, SourceLost | SourceAway):
        return Outcome("interrupted", str(error), lost=True)
    return Outcome("failed", str(error))


def _doubt(source: Source) -> str:
    """What the end of a take has to say when nobody checked which server was recorded."""
    evidence = evidence_of(source)
    if evidence.get("certificate_checked") != NOT_CHECKED:
        return ""
    return (
        f" (the server's certificate was not checked: ignore_cert; SHA-256 {evidence['certificate_sha256']})"
    )


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


if __name__ == "__main__":
    os._exit(main())  # the thread that waits for commands would hold up an ordinary exit
