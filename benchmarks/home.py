"""A temporary installation of the benchmark's own: real SQLite, a private Redis, real worker processes.

`premises` must be entered before anything of Django is imported: the settings are read once.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lucid_sessions.operations.children import Program

# Of the caller's environment; everything else could name an installation that is in use.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
BROKER_STARTS_SECONDS = 15.0
WORKERS_START_SECONDS = 60.0


@dataclass(frozen=True)
class Worker:
    """One Celery worker process: which queues it serves, by how many threads."""

    name: str
    queues: tuple[str, ...]
    threads: int = 8


@contextmanager
def premises() -> Iterator[Path]:
    """A prepared LUCID_HOME, which this process's settings describe; removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="lucid-bench-"))
    try:
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        os.environ.clear()
        os.environ.update(environment)
        os.environ.update(
            LUCID_HOME=str(home),
            LUCID_STORAGE_MIN_FREE_GIB="0",
            DJANGO_SETTINGS_MODULE="lucid_sessions.settings",
            LUCID_LEDGER_ORIGIN="benchmark.invalid/lucid-sessions",
        )
        for name in ("log", "beat", "metrics"):
            (home / name).mkdir()
        _prepare()
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _prepare() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "prepare"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"The benchmark's installation could not be made: {done.stderr.strip()}")


@contextmanager
def broker(home: Path) -> Iterator[str]:
    """The URL of a Redis of our own, for as long as the block lasts."""
    from lucid_sessions.operations import private_redis, programs
    from lucid_sessions.operations.stack import Stack

    chosen = private_redis.choose(home, environment={})
    with Stack([programs.redis(chosen)], logs=home / "log", say=complain) as stack:
        stack.start()
        stack.wait_until(
            lambda: private_redis.answers(chosen.url), what="Redis", seconds=BROKER_STARTS_SECONDS
        )
        _use(chosen.url)
        yield chosen.url


def _use(url: str) -> None:
    """From now on this process's hints, and those of its children, go to this Redis."""
    from lucid_sessions.recordings import hints
    from tasks.celery import app

    os.environ["REDIS_URL"] = url
    app.conf.broker_url = url
    hints.connect()


@contextmanager
def running(workers: Sequence[Worker], *, home: Path, fuse: str = "compress,encrypt,store") -> Iterator[None]:
    """These workers and beat, ready to work, for as long as the block lasts."""
    from lucid_sessions.operations import programs
    from lucid_sessions.operations.stack import Stack

    env = programs.environment(LUCID_FUSE=fuse, LOG_LEVEL="INFO")
    parts = [_program(worker, env) for worker in workers]
    parts.append(programs.beat(env))
    logs = home / "log"
    for worker in workers:
        (logs / f"{worker.name}.log").unlink(missing_ok=True)
    with Stack(parts, logs=logs, say=complain) as stack:
        stack.start()
        stack.wait_until(
            lambda: all(_is_ready(logs / f"{worker.name}.log") for worker in workers),
            what="The workers",
            seconds=WORKERS_START_SECONDS,
        )
        yield


def _program(worker: Worker, env: dict[str, str]) -> "Program":
    from lucid_sessions.operations import programs

    shipped = programs.worker(worker.queues, env, pool="threads", concurrency=worker.threads)
    # Several on one host: each needs a name of its own.
    command = tuple(f"{worker.name}@%h" if part == "worker@%h" else part for part in shipped.command)
    command = tuple("INFO" if before == "--loglevel" else part for before, part in _pairs(command))
    return replace(shipped, name=worker.name, command=command)


def _pairs(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(("", *command[:-1]), command, strict=True)


def _is_ready(log: Path) -> bool:
    return log.is_file() and b" ready." in log.read_bytes()


def complain(text: str) -> None:
    """Progress and trouble go to the error output: the table alone is the output."""
    print(text, file=sys.stderr, flush=True)
