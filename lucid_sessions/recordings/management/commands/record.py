"""manage.py record SOURCE: record something now, and watch it being archived."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.recordings import sessions
from lucid_sessions.recordings.management import desktops
from lucid_sessions.recordings.management.command import DONE
from lucid_sessions.recordings.management.command import Command as Base
from lucid_sessions.recordings.management.following import CtrlC, follow

FIELDS = (
    ("fps", "frame_rate"),
    ("quality", "quality"),
    ("duration", "maximum_seconds"),
    ("resolution", "resolution"),
    ("idle", "idle_seconds"),
)


class Command(Base):
    help = (
        "Record a source: synthetic://1280x720, x11://:0, rdp://user@host, vnc://host, rtsp://host/path, "
        "file:///path.mp4. The stack must be running."
    )
    examples = (
        "synthetic://1280x720 --duration 10 --wait",
        'x11://:0 --name "my screen"',
        "rdp://ana@desktop.example --fps 10",
        "vnc://desktop.example --password-stdin --detach < password",
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="what to record, as above")
        parser.add_argument("--name", default="", help="the session's; else the source")
        parser.add_argument("--duration", type=float, help="seconds; without it until Ctrl-C or `stop`")
        parser.add_argument("--idle", type=float, help="seconds; ends when nothing happened for so long")
        parser.add_argument("--fps", type=int, help="frames a second, 1 to 60")
        parser.add_argument("--quality", choices=("low", "medium", "high", "ultra"))
        parser.add_argument("--resolution", help="WIDTHxHEIGHT, where the source can choose: synthetic, rdp")
        parser.add_argument("--audio", action="store_true", help="sound too: rdp, x11, rtsp")
        parser.add_argument("--wait", action="store_true", help="until everything is anchored and sealed")
        parser.add_argument("--detach", action="store_true", help="on a terminal too: start it, and return")
        desktops.add_arguments(parser)

    def run(self, options: dict[str, Any]) -> int:
        source, password = options["source"], ""
        config: dict[str, Any] = {}
        for option, field in FIELDS:
            if options[option] is not None:
                config[field] = options[option]
        if options["audio"]:
            config["audio_enabled"] = True
        sessions.recorder_settings(config)
        target = desktops.target_of(source, options) if desktops.is_desktop(source) else None
        source = target.url if target else source
        # Whose certificate it is comes first: a stranger gets no password.
        sessions.check(source)
        if target:
            password = desktops.password_for(target, options)
        sessions.admit("")
        with CtrlC() as ctrl_c:
            session = sessions.create(
                source, name=options["name"] or source, recording_config=config, password=password
            )
            sessions.start(session)
            watched = self.stderr.isatty() and not (options["detach"] or self.as_json)
            if options["wait"] or watched or ctrl_c.pressed:
                return follow(self, session, ctrl_c=ctrl_c)
        taken = sessions.living_hosts().exists()
        if not taken:
            self.stderr.write("No recorder reports: it begins when `make run` or `manage.py recorder` runs.")
        told = "recording" if taken else "waits for a recorder:"
        self.tell(f"{session.pk}  {told} {source}", session=session.pk, source=source)
        return DONE
