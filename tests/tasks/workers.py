"""Real Celery workers on a real Redis, each a process group of its own, working on this test's world."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from lucid_sessions.recordings.installation import Installation
from tests.waiting import PATIENCE, until

Worker = subprocess.Popen[bytes]


def environment(world: Installation, redis_url: str, **more: str) -> dict[str, str]:
    """What a process needs to work on the test's world and database."""
    database = settings.DATABASES["default"]
    found = os.environ | {
        "DJANGO_SETTINGS_MODULE": "lucid_sessions.settings",
        "REDIS_URL": redis_url,
        "SESSION_STORAGE_PATH": str(world.spool_root),
        "CHUNK_STORAGE_PATH": str(world.blobs_root),
        "STORAGE_URL": world.blobs_url,
        "LUCID_STORAGE_ALSO": ",".join(world.also),
        "LUCID_LEDGER_PATH": str(world.ledger_root),
        "LUCID_KEYS_PATH": str(world.keys_root),
        # Workers open nothing.
        "ENCRYPTION_PASSWORD": "",
        "ENCRYPTION_SALT": "",
        "LOG_LEVEL": "INFO",
        **more,
    }
    if settings.MONGO:
        address, _, options = settings.MONGODB_URL.partition("?")
        server = address.rsplit("/", 1)[0] if address.count("/") > 2 else address
        found["MONGODB_URL"] = f"{server}/{database['NAME']}" + (f"?{options}" if options else "")
    else:
        found["DATABASE_URL"] = f"sqlite:///{database['NAME']}"
    return found


@contextmanager
def workers(*queues: str, env: dict[str, str], logs: Path) -> Iterator[list[Worker]]:
    """One worker for each of `queues` (several names by commas), ready to work; killed at the end."""
    running = [_started(served, env=env, log=logs / f"{served.replace(',', '-')}.log") for served in queues]
    try:
        for process, log in running:
            _await_ready(process, log)
        yield [process for process, _ in running]
    finally:
        for process, _ in running:
            end(process)


def _started(queues: str, *, env: dict[str, str], log: Path) -> tuple[Worker, Path]:
    argv = [sys.executable, "-m", "tasks", "worker", "-Q", queues, "--pool", "threads"]
    argv += ["--concurrency", "2", "--loglevel", "INFO", "--without-mingle", "--without-gossip"]
    argv += ["-n", f"{log.stem}@test"]
    with log.open("wb") as out:
        return subprocess.Popen(argv, env=env, stdout=out, stderr=out, start_new_session=True), log


def _await_ready(process: Worker, log: Path) -> None:
    until(lambda: b" ready." in log.read_bytes() or process.poll() is not None)
    assert process.poll() is None, log.read_text()[-2000:]


def end(process: Worker) -> None:
    """Kill the process and its group, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)
