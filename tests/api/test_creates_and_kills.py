"""Sessions that many create at once while processes are killed: what was acknowledged is there."""

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

from tests.api.live import HOST, Live, live_api
from tests.operations.processes import ROOT
from tests.waiting import PATIENCE, until

ASKERS, KILLS, SECONDS_BETWEEN = 12, 5, 0.7
# The installation tells of itself: rows, keys by their files, events of the audit.
TOLD = """
import json
from lucid_sessions.access.models import AuditEvent
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.models import Session
keys, rows = installation().keys, Session.objects.filter(name="killed").prefetch_related("keys")
opens = {str(row.pk): sorted(key.track for key in row.keys.all()) for row in rows}
files = [pk for pk in opens if len(keys.sealed_keys(pk)) == 1]
created = AuditEvent.objects.filter(action="session.created", outcome="done")
events = [one for one in created.values_list("session", flat=True) if one in opens]
print(json.dumps({"tracks": opens, "files": files, "events": events}))
"""


def create(live: Live) -> str | None:
    """The id of one more session, or None when no answer came."""
    body = json.dumps({"name": "killed", "source": {"kind": "synthetic"}})
    headers = {**live.bearer, "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection(HOST, live.port, timeout=PATIENCE)) as connection:
        try:
            connection.request("POST", "/api/v1/sessions", body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)  # the process is gone; its successor is on its way
            return None
        assert answer.status == 201, text
        return str(json.loads(text)["id"])


def one_killed(live: Live) -> bool:
    """Whether one of the processes that answer was there to be killed, and is."""
    for worker in random.sample(workers := live.workers, len(workers)):
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            return True
    return False


def killed_while_created(live: Live) -> list[str]:
    """What was acknowledged while one process after another was killed."""
    over, acknowledged = threading.Event(), list[str]()

    def ask() -> None:
        while not over.is_set():
            if made := create(live):
                acknowledged.append(made)

    with ThreadPoolExecutor(ASKERS) as askers:
        asking = [askers.submit(ask) for _ in range(ASKERS)]
        try:
            for _ in range(KILLS):
                time.sleep(SECONDS_BETWEEN)
                until(lambda: one_killed(live), "a process that answers")
        finally:
            over.set()
        for one in asking:
            one.result()
    return acknowledged


def test_every_acknowledged_session_is_there_with_keys_and_event(tmp_path: Path) -> None:
    with live_api(tmp_path / "home", RATE_LIMIT_ENABLED="false") as live:
        acknowledged = killed_while_created(live)
        command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", TOLD]
        told = json.loads(subprocess.check_output(command, cwd=ROOT, env=live.variables, text=True))
    assert len(acknowledged) > KILLS
    print(f"{len(acknowledged)} acknowledged, {len(told['tracks'])} there")
    assert set(acknowledged) <= set(told["tracks"]) <= set(told["files"])
    assert {tuple(tracks) for tracks in told["tracks"].values()} == {("screen", "thumb")}
    assert len(told["events"]) == len(set(told["events"]))
    assert set(told["tracks"]) == set(told["events"])
