"""Watching one session from its start to its seal, on a terminal or in plain lines."""

import time

from lucid_sessions.recordings import progress
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings.sessions import stop

from .command import CHECK_FAILED, DONE, Command

EVERY_SECONDS = 0.5
# A session that no recorder takes for this long needs a word.
UNTAKEN_SECONDS = 15.0


def follow(command: Command, session: Session) -> int:
    """Print progress until the session is sealed; Ctrl-C stops the recording and goes on watching."""
    began = time.monotonic()
    shown = ""
    while True:
        try:
            now = progress.of(session)
            if str(now) != shown and not command.as_json:
                command.stderr.write(str(now), ending="\n")
            shown = str(now)
            if now.over:
                break
            if now.status == Status.STARTING and time.monotonic() - began > UNTAKEN_SECONDS:
                command.stderr.write(
                    "No recorder has taken it yet: is `make run` or `manage.py recorder` running?"
                )
                began = time.monotonic()
            time.sleep(EVERY_SECONDS)
        except KeyboardInterrupt:
            command.stderr.write("Stopping the recording; what was recorded is still being archived.")
            stop(session)
    text = f'{session.pk}  "{session.name}" {now.status}' + (f": {now.reason}" if now.reason else "")
    command.tell(text, session=session.pk, status=now.status, reason=now.reason, chunks=now.chunks)
    return DONE if now.status == Status.COMPLETED else CHECK_FAILED
