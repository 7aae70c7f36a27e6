"""Processes of an installation, each begun as a fork of one that has imported what needs no settings.

Most of a command's start is imports that are the same for all. The fork reads its settings anew, from the
environment that it is given, and ends as any process does; only the time of those imports is saved.

Here: one line of JSON a wish on standard input (environment, arguments, files for what is said), and for each
one line with the exit code. `Forks` is the other side.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
# They read no settings. DJANGO_SETTINGS_MODULE is not set here: what asks for one would fail.
SHARED = (
    "django.core.management.commands.migrate",
    "django.core.serializers.json",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.db.models",
    "django.forms",
    "django.template.defaultfilters",
    "django.test.utils",
    "django.urls",
    "prometheus_client",
    "structlog.dev",
    "rich.progress",
    "sqlparse",
    "yaml",
    "boto3.session",
    "botocore.handlers",
    "botocore.signers",
    "bson.json_util",
    "pymongo.synchronous.mongo_client",
    "zstandard",
    "lucid_sessions.archive",
    "lucid_sessions.blobs",
    "lucid_sessions.ledger",
    "recorder.export",
    "recorder.probe",
    "recorder.spool",
)


class Forks:
    """The process that forks, begun when it is first wanted, and how each of its children ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: Iterable[str], *, env: dict[str, str], out: Path, err: Path) -> int:
        """The exit code of this process, negative for a signal's; what it said is in the two files."""
        wish = {"arguments": list(arguments), "env": env, "out": str(out), "err": str(err)}
        process = self._process = self._process or _begun()
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(wish) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())
        except BaseException:  # the test's time is over: the next one gets a process of its own
            self.end()
            raise

    def end(self) -> None:
        """The process and all its children are gone."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _begun() -> subprocess.Popen[str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        env={name: os.environ[name] for name in kept if name in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _next_wish() -> dict[str, Any]:
    """In a new process each: what it is to do. The process that forks ends with its input."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            answers.close()
            wish: dict[str, Any] = json.loads(line)
            return wish
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)
    sys.exit()


def _become(wish: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(wish["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(wish[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    first, *rest = wish["arguments"]
    if first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 as python -c does
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    for module in SHARED:
        importlib.import_module(module)
    _become(_next_wish())
