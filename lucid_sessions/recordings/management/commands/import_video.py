"""manage.py import_video FILE: bring an existing recording into the archive, without re-encoding."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.management.following import CtrlC, follow


class Command(Base):
    help = "Import an mp4 or mkv by stream copy. The stack must be running."
    examples = ('talk.mkv --name "the talk" --wait',)

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the video, on this machine")
        parser.add_argument("--name", default="", help="the session's; else the file's")
        parser.add_argument("--wait", action="store_true", help="until everything is anchored and sealed")

    def run(self, options: dict[str, Any]) -> int:
        source = options["file"].absolute().as_uri()
        sessions.check(source)
        sessions.admit("")
        with CtrlC() as ctrl_c:
            session = sessions.create(source, name=options["name"] or options["file"].name)
            sessions.start(session)
            if options["wait"] or ctrl_c.pressed:
                return follow(self, session, ctrl_c=ctrl_c)
        self.tell(f"{session.pk}  importing {options['file']}", session=session.pk)
        return DONE
