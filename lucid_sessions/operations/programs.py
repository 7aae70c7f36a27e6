"""The programs that a stack is made of: how each is called, and with what environment."""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from django.conf import settings

from recorder.supervisor import LAST_REPORTS_WITHIN, Policy

from .children import Program
from .private_redis import Redis

# A recorder closes its open segments before it goes, and reports and files them: so long at most.
RECORDER_STOP_SECONDS = Policy.stop_at_last + LAST_REPORTS_WITHIN + 17.0
# Shorter than Celery's own soft shutdown: nobody waits longer for Ctrl-C.
WORKER_STOP_SECONDS = 8.0
# Most of them wait: for the database, or for somebody who receives a file slowly, each of whom holds one.
API_THREADS = 64
PYTHON = sys.executable
# Names of settings that say which installation this is: where things are, and what opens them.
OF_AN_INSTALLATION = re.compile(
    r"(LUCID_.*|(CHUNK|SESSION)_STORAGE_PATH|(STORAGE|MONGODB|DATABASE|REDIS|CACHE)_URL"
    r"|(JWT_)?SECRET_KEY|ENCRYPTION_(PASSWORD|SALT))(_FILE)?"
)
# Of these, what speaks of this machine only.
OF_THE_MACHINE = frozenset({"LUCID_STORAGE_MIN_FREE_GIB", "LUCID_RECORDER_CORES"})


def environment(**more: str) -> dict[str, str]:
    """What a child of this process inherits, with the home that this one has, and `more`."""
    return {**os.environ, **own_environment(settings.LUCID_HOME), **more}


def own_environment(home: Path) -> dict[str, str]:
    """What every program of a stack in `home` is told, whatever else it inherits."""
    return {
        "DJANGO_SETTINGS_MODULE": "lucid_sessions.settings",
        "LUCID_HOME": str(home),
        # Where every process leaves its figures for whichever answers /metrics.
        "PROMETHEUS_MULTIPROC_DIR": str(home / "metrics"),
        "PYTHONUNBUFFERED": "1",
        # Large buffers are kept for the next chunk rather than given back: 1.4 times as fast, measured.
        "MALLOC_MMAP_THRESHOLD_": "33554432",
        "MALLOC_TRIM_THRESHOLD_": "268435456",
    }


def apart(home: Path) -> dict[str, str]:
    """What a program is told that works in `home` alone, whatever installation this process is of."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in OF_THE_MACHINE or not OF_AN_INSTALLATION.fullmatch(name)
    }
    return {**inherited, **own_environment(home)}


def redis(chosen: Redis) -> Program:
    """The private Redis."""
    return _program("redis", chosen.command, environment())


def api(address: str, port: int, env: Mapping[str, str], *, workers: int = 1) -> Program:
    """Django behind granian."""
    command = (
        *(PYTHON, "-m", "granian", "--interface", "wsgi", "--host", address, "--port", str(port), "--no-ws"),
        *("--workers", str(workers), "--blocking-threads", str(API_THREADS)),
        *("--workers-kill-timeout", "8"),
        *("--respawn-failed-workers", "--log-level", "error", "lucid_sessions.wsgi:application"),
    )
    # Its workers outlive a killed parent, so the parent gets the chance to end them.
    return _program("api", command, env, orphaned=signal.SIGTERM)


def worker(
    queues: Sequence[str],
    env: Mapping[str, str],
    *,
    pool: str,
    concurrency: int,
    stop_seconds: float = WORKER_STOP_SECONDS,
    events: bool = False,
    name: str = "worker",
) -> Program:
    """A Celery worker on `queues`; what is unfinished `stop_seconds` after SIGTERM is done again later."""
    command = (
        *(PYTHON, "-m", "tasks", "worker", "-n", f"{name}@%h", "-Q", ",".join(queues)),
        *("--pool", pool, "--concurrency", str(concurrency), "--loglevel", settings.LOG_LEVEL),
        *("--without-gossip", "--without-mingle"),
    )
    # A prefork pool has children that a killed parent would leave behind.
    orphaned = signal.SIGTERM if pool == "prefork" else signal.SIGKILL
    return _program(
        name,
        (*command, *(("-E",) if events else ())),
        env,
        orphaned=orphaned,
        stop_seconds=stop_seconds,
    )


def beat(env: Mapping[str, str]) -> Program:
    """The clock of the static schedule."""
    schedule = settings.LUCID_HOME / "beat" / "schedule"
    command = (PYTHON, "-m", "tasks", "beat", "-s", str(schedule), "--pidfile=")
    return _program("beat", (*command, "--loglevel", "WARNING"), env)


def recorder(env: Mapping[str, str]) -> Program:
    """The recorder of this host."""
    command = (PYTHON, "manage.py", "recorder")
    return _program("recorder", command, env, orphaned=signal.SIGTERM, stop_seconds=RECORDER_STOP_SECONDS)


def flower(address: str, port: int, env: Mapping[str, str]) -> Program:
    """Flower; it has no login of its own, so `address` is one that only a proxy or this machine reaches."""
    command = (
        *(PYTHON, "-m", "celery", "-A", "tasks", "flower", f"--address={address}", f"--port={port}"),
        *("--persistent=False", "--max_tasks=10000", "--enable_events=False"),
    )
    # Its own figures are on its own /metrics.
    return _program("flower", command, {k: v for k, v in env.items() if k != "PROMETHEUS_MULTIPROC_DIR"})


def _program(
    name: str,
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    orphaned: signal.Signals = signal.SIGKILL,
    stop_seconds: float = 10.0,
) -> Program:
    return Program(name, tuple(command), env, settings.BASE_DIR, orphaned=orphaned, stop_seconds=stop_seconds)
