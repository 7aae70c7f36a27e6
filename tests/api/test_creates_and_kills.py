"""Sessions that many create and start at once while processes are killed: what was acknowledged is there."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.api.live import HOST, Live, live_api
from tests.operations.processes import ROOT
from tests.waiting import PATIENCE, until

ASKERS, KILLS, SECONDS_BETWEEN = 12, 5, 0.7
# The installation tells of itself: rows, keys by their files, events of the audit.
TOLD = """
import json
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings import session_keys
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.models import Session
keys, rows = installation().keys, Session.objects.filter(name="killed").prefetch_related("keys")
opens = {str(row.pk): sorted(key.track for key in row.keys.all()) for row in rows}
started = [str(row.pk) for row in rows if row.status != "created"]
born = {pk: [one for path in keys.sealed_keys(pk) for one in session_keys.read(path)] for pk in opens}
statements = {str(row.pk): {bytes(key.statement) for key in row.keys.all()} for row in rows}
files = [pk for pk, found in born.items()
         if statements[pk] and statements[pk] <= {one.statement for one in found}
         and all(len(one.sealed) == len(keys.recipients) for one in found)]
created = AuditEvent.objects.filter(action="session.created", outcome="done")
events = [one for one in created.values_list("session", flat=True) if one in opens]
print(json.dumps({"tracks": opens, "started": started, "files": files, "events": events}))
"""


def create(live: Live) -> str | None:
    """The id of one more session, or None when no answer came."""
    return posted(live, "", {"name": "killed", "source": {"kind": "synthetic"}}, status=201)


def start(live: Live, session: str) -> str | None:
    """Its id when it was started, or None when no answer came."""
    return posted(live, f"/{session}/start", None, status=200)


def posted(live: Live, path: str, body: dict[str, Any] | None, *, status: int) -> str | None:
    headers = {**live.bearer, "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection(HOST, live.port, timeout=PATIENCE)) as connection:
        try:
            content = json.dumps(body) if body else None
            connection.request("POST", f"/api/v1/sessions{path}", body=content, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)  # the process is gone; its successor is on its way
            return None
        assert answer.status == status, text
        return str(json.loads(text)["id"])


def one_killed(live: Live) -> bool:
    """Whether one of the processes that answer was there to be killed, and is."""
    for worker in random.sample(workers := live.workers, len(workers)):
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            return True
    return False


def killed_while_used(live: Live) -> tuple[list[str], list[str]]:
    """What was created, and of it what was started, while one process after another was killed."""
    over, created, started = threading.Event(), list[str](), list[str]()

    def ask() -> None:
        while not over.is_set():
            if made := create(live):
                created.append(made)
                if start(live, made):
                    started.append(made)

    with ThreadPoolExecutor(ASKERS) as askers:
        asking = [askers.submit(ask) for _ in range(ASKERS)]
        try:
            for _ in range(KILLS):
                before = len(started)
                time.sleep(SECONDS_BETWEEN)
                until(lambda before=before: len(started) > before + 1, "it is used")
                until(lambda: one_killed(live), "a process that answers")
        finally:
            over.set()
        for one in asking:
            one.result()
    return created, started


def test_every_acknowledged_session_is_there_with_its_event_and_once_started_with_its_keys(
    tmp_path: Path,
) -> None:
    with live_api(tmp_path / "home", RATE_LIMIT_ENABLED="false") as live:
        created, started = killed_while_used(live)
        command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", TOLD]
        told = json.loads(subprocess.check_output(command, cwd=ROOT, env=live.variables, text=True))
    assert len(started) > KILLS
    print(f"{len(created)} created, {len(started)} started, {len(told['tracks'])} there")
    assert set(created) <= set(told["tracks"])
    assert len(told["events"]) == len(set(told["events"]))
    assert set(told["tracks"]) == set(told["events"])
    # Also those whose answer did not come: no recorder may take what nobody could open.
    assert set(started) <= set(told["started"]) <= set(told["files"])
    assert {tuple(told["tracks"][one]) for one in told["started"]} == {("screen", "thumb")}
