"""manage.py export SESSION OUT.mp4: the recording as ordinary video files."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import playback
from lucid_sessions.recordings.management.command import (
    DONE,
    output_argument,
    session_argument,
)
from lucid_sessions.recordings.management.command import (
    Command as Base,
)


class Command(Base):
    help = "Verify, decrypt and write a session as MP4, without re-encoding: one file an epoch."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=session_argument)
        parser.add_argument("out", type=output_argument)

    def run(self, options: dict[str, Any]) -> int:
        written = playback.export(options["session"], options["out"])
        self.tell("\n".join(str(path) for path in written), files=written)
        return DONE
