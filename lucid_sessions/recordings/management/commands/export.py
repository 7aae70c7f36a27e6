"""manage.py export SESSION OUT.mp4: the recording as ordinary video files."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import one_file, playback
from lucid_sessions.recordings.management.command import (
    DONE,
    SESSION,
    output_argument,
    session_argument,
)
from lucid_sessions.recordings.management.command import (
    Command as Base,
)


class Command(Base):
    help = (
        "Verify, decrypt and write a session as MP4: one file an epoch, without re-encoding, "
        "or with --one-file one for all of it, encoded anew."
    )
    examples = ('"deploy db-7" out.mp4', '"deploy db-7" out.mp4 --one-file')

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=session_argument, help=SESSION)
        parser.add_argument("out", type=output_argument, help="the file to write")
        parser.add_argument(
            "--one-file",
            action="store_true",
            help="encoded anew; gaps are dark, 2 s at most",
        )

    def run(self, options: dict[str, Any]) -> int:
        export = one_file.export if options["one_file"] else playback.export
        written = export(options["session"], options["out"])
        self.tell("\n".join(str(path) for path in written), files=written)
        return DONE
