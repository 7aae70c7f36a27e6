"""The embedded stack: every part of the system on one machine, under one supervisor, for one user."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from lucid_sessions.durable import make_directory
from lucid_sessions.errors import Refused
from lucid_sessions.recordings.lifecycle import QUEUES

from . import private_redis, programs
from .children import Program
from .private_redis import Redis
from .stack import Stack

ADDRESS = "127.0.0.1"
WORKER_THREADS = 8
# For the slowest machine: what ends instead of answering is told long before.
START_SECONDS = 120.0
REDIS_SECONDS = 60.0


@dataclass(frozen=True)
class Layout:
    """What of the stack runs, and where it answers; a port of 0 leaves that part out."""

    api_port: int = 0
    flower_port: int = 0
    # Where the stack itself says how its programs are; 0: nowhere.
    health_port: int = 0


def prepare(environment: Mapping[str, str]) -> None:
    """The LUCID_HOME of `environment` has its directories, database, keys and first user.

    In a process of its own: the settings of this one were read before there was any key. Refused with its
    reason when it fails.
    """
    home = Path(environment["LUCID_HOME"])
    shutil.rmtree(home / "metrics", ignore_errors=True)
    for name in ("log", "beat", "metrics"):
        make_directory(home / name)
    command = [sys.executable, "manage.py", "prepare"]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])


def logs() -> Path:
    """Where each part of the stack writes its log."""
    return settings.LUCID_HOME / "log"


def stack(layout: Layout, *, redis: Redis, say: Callable[[str], None]) -> Stack:
    """The embedded stack, not yet started."""
    return Stack(_programs(layout, redis), logs=logs(), say=say, home=settings.LUCID_HOME)


def _programs(layout: Layout, redis: Redis) -> list[Program]:
    """Started in this order, stopped in the reverse: the recorder first, for its tails; Redis last."""
    env = programs.environment(REDIS_URL=redis.url)
    parts = [programs.redis(redis)] if redis.command else []
    if layout.api_port:
        others = (
            {"LUCID_SERVICES": f"stack=http://{ADDRESS}:{layout.health_port}"} if layout.health_port else {}
        )
        parts.append(programs.api(ADDRESS, layout.api_port, env | others))
    if layout.flower_port:
        parts.append(programs.flower(ADDRESS, layout.flower_port, env))
    events = bool(layout.flower_port)
    parts.append(
        programs.worker(
            QUEUES,
            env,
            pool="threads",
            concurrency=WORKER_THREADS,
            events=events,
        )
    )
    parts.append(programs.beat(env))
    parts.append(programs.recorder(env))
    return parts


def start(running: Stack, redis: Redis) -> None:
    """Everything runs, Redis first; Retryable when Redis does not answer."""
    if redis.command:
        running.start("redis")
    running.wait_until(
        lambda: private_redis.answers(redis.url), what=f"Redis ({redis.program})", seconds=REDIS_SECONDS
    )
    running.start()
