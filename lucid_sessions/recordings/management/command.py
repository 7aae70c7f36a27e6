"""What every command of ours shares: `--json`, one clear line for an error, exit codes that a script can use.

0 done    1 a check failed    2 wrong usage or input    3 try again later
"""

import json
import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter
from django.db.utils import DatabaseError

from lucid_sessions.access.models import User
from lucid_sessions.errors import LucidError, Refused, Retryable, Tampered
from lucid_sessions.recordings.models import Session
from recorder.errors import DiskFull, RecorderError, SpoolBusy, SpoolUnwritable

DONE, CHECK_FAILED, WRONG, LATER = 0, 1, 2, 3
SESSION = "its id, the beginning of one, or its name"


class _Help(DjangoHelpFormatter):
    """Examples stand one a line, as they are typed."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


class Command(BaseCommand):
    """A command whose `run` returns an exit code and says what it found through `tell`."""

    requires_system_checks: list[str] = []
    stealth_options = ("as_json",)
    # Django's own options work, and would be half of every help text.
    suppressed_base_arguments = {
        *("--version", "--verbosity", "--settings", "--pythonpath", "--traceback"),
        *("--no-color", "--force-color"),
    }
    # What is typed behind the command's name; --help shows them.
    examples: tuple[str, ...] = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser; its help ends with the examples."""
        shown = [f"  manage.py {subcommand} {one}".rstrip() for one in self.examples]
        kwargs.setdefault("formatter_class", _Help)
        return super().create_parser(prog_name, subcommand, epilog="\n".join(["examples:", *shown]), **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
        self.arguments(parser)

    def arguments(self, parser: CommandParser) -> None:
        """The command's own arguments."""

    def run(self, options: dict[str, Any]) -> int:
        """Do it; the exit code."""
        raise NotImplementedError

    as_json = False

    def run_from_argv(self, argv: list[str]) -> None:
        # Arguments that name a session are looked up while they are parsed.
        self.as_json = "--json" in argv
        self._exit_by(lambda: super(Command, self).run_from_argv(argv))

    def handle(self, *_: Any, **options: Any) -> None:
        self.as_json = bool(options["as_json"])
        self._exit_by(lambda: self.run(options))

    def _exit_by(self, work: Callable[[], int | None]) -> None:
        """Exit with the code that the work, or its failure, stands for."""
        try:
            code = work() or DONE
        except LucidError as error:
            code = self._failed(str(error), _code(error))
        except RecorderError as error:
            code = self._failed(str(error), LATER if isinstance(error, DiskFull | SpoolBusy) else WRONG)
        except DatabaseError as error:
            code = self._failed(f"The database cannot be used: {error}.{database_fix(error)}", LATER)
        sys.exit(code)

    def _failed(self, message: str, code: int) -> int:
        if self.as_json:
            self.stdout.write(json.dumps({"error": message, "exit": code}))
        self.stderr.write(message)
        return code

    def required(self, options: dict[str, Any], name: str) -> Any:
        """The option's value; Refused when it was not given."""
        if options[name] is None:
            raise Refused(f"--{name.replace('_', '-')} is needed for this.")
        return options[name]

    def tell(self, text: str, **facts: Any) -> None:
        """Print for a person, or the facts as JSON for a program."""
        self.stdout.write(json.dumps(facts, default=str) if self.as_json else text)


def database_fix(error: DatabaseError) -> str:
    """What to do about it, as another sentence; empty where that is not known."""
    if "no such table" in str(error):
        return " Run `manage.py migrate` first."
    if "unable to open database file" in str(error):
        place = settings.DATABASES["default"]["NAME"]
        return f" Check that {place} is there (`manage.py prepare` makes it) and writable, or set LUCID_HOME."
    return ""


def _code(error: LucidError) -> int:
    if isinstance(error, Retryable):
        return LATER
    return CHECK_FAILED if isinstance(error, Tampered) else WRONG


def session_argument(text: str) -> Session:
    """The session that an argument names: by id, by the beginning of its id, or by its name."""
    try:
        found = list(Session.objects.filter(pk=UUID(text)))
    except ValueError:
        found = list(Session.objects.filter(name=text)[:2])
        if not found and len(text) >= 6:
            recent = Session.objects.order_by("-created_at")[:1000]
            found = [one for one in recent if str(one.pk).startswith(text.lower())]
    if not found:
        raise ArgumentTypeError(f"there is no session {text!r}: `manage.py sessions` lists them")
    if len(found) > 1:
        raise ArgumentTypeError(f"{text!r} names more than one session: give its id")
    return found[0]


def user_argument(text: str) -> User:
    """The user of this name, who acts."""
    found = User.objects.filter(username=text).first()
    if found is None:
        raise ArgumentTypeError(
            f"there is no user {text!r}: `manage.py createsuperuser`, or the admin, makes one"
        )
    return found


def output_argument(text: str) -> Path:
    """A file to write: its directory exists and can be written."""
    path = Path(text).absolute()
    if path.is_dir():
        raise ArgumentTypeError(f"{path} is a directory: name a file in it")
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"the directory {path.parent} does not exist: make it first")
    if not os.access(path.parent, os.W_OK):
        raise ArgumentTypeError(f"the directory {path.parent} cannot be written: name another")
    return path


__all__ = [
    "CHECK_FAILED",
    "DONE",
    "LATER",
    "SESSION",
    "WRONG",
    "Command",
    "SpoolUnwritable",
    "database_fix",
    "output_argument",
    "session_argument",
    "user_argument",
]
