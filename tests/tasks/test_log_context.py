"""A task's log lines name the task and its stage, and say which host and service they come from."""

import json
import os
import subprocess
import sys

from tests.operations.processes import ROOT
from tests.waiting import PATIENCE

PROGRAM = """
import django
django.setup()
import structlog
from tasks import log_context
from tasks.celery import app
log = structlog.get_logger("test")

@app.task(name="pipeline.compress")
def compress():
    log.warning("within")

compress.apply(task_id="the-task")
log.warning("after")
import logging
logging.getLogger("of.a.library").warning("foreign")
"""


def test_a_line_says_where_it_comes_from_and_what_it_is_about() -> None:
    told = {"LOG_FORMAT": "json", "LUCID_HOST": "host-7", "LUCID_SERVICE": "chunk-processor"}
    env = os.environ | told | {"DJANGO_SETTINGS_MODULE": "lucid_sessions.settings"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    lines = {one["event"]: one for one in map(json.loads, done.stderr.splitlines())}
    assert (lines["within"]["task_id"], lines["within"]["stage"]) == ("the-task", "compress")
    assert "task_id" not in lines["after"]
    for line in lines.values():
        assert (line["host"], line["service"]) == ("host-7", "chunk-processor")
