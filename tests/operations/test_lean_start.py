"""What a process would have in memory for nothing, and would load each time it starts, is not loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .processes import ROOT

# FFmpeg's libraries and numpy, for those that look into pictures; what paints tracebacks and code; what is
# there for tests of an API, for pages that we do not have, for messages that are no JSON.
NOBODYS = {"av", "numpy", "rich", "pygments", "jinja2", "requests", "yaml"}
# The REST API; all other commands of Celery, with Flower's pages and a shell; time-stamps' certificates.
NO_WORKERS = {"lucid_sessions.urls", "rest_framework.views", "drf_spectacular.utils", "tornado", "flower"}
NO_WORKERS |= {"prompt_toolkit", "cryptography.x509"}
NO_COMMANDS = {*NO_WORKERS, "celery", "kombu", "redis"}

SET_UP = "import django; django.setup(); "
AS_A_WORKER = "from tasks.__main__ import app; app.loader.import_default_modules()"
AS_A_COMMAND = "from lucid_sessions.recordings.management.commands import sessions"
# For its documents.
WEB_HAS = {"yaml"}


@pytest.mark.parametrize(
    ("start", "needless"),
    [
        pytest.param("import lucid_sessions.wsgi", NOBODYS - WEB_HAS, id="web"),
        pytest.param(AS_A_WORKER, NOBODYS | NO_WORKERS, id="worker"),
        pytest.param(SET_UP + AS_A_COMMAND, NOBODYS | NO_COMMANDS, id="command"),
    ],
)
def test_a_process_loads_no_library_that_only_others_need(
    start: str, needless: set[str], tmp_path: Path
) -> None:
    mine = {"DJANGO_SETTINGS_MODULE": "lucid_sessions.settings", "LUCID_HOME": str(tmp_path)}
    told = f"{start}\nimport sys\nprint(sorted({needless} & set(sys.modules)))\n"
    # Whoever wants one of them later has it.
    told += "import rich.console, pygments.lexers, jinja2, requests, yaml"
    command = [sys.executable, "-c", told]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | mine, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_command_line_of_workers_is_celerys(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tasks", "worker", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"--queues", "--pool", "--without-gossip"} <= set(done.stdout.replace(",", " ").split())
