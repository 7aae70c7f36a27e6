"""What `manage.py doctor` looks at: each thing that this process needs, by itself, with what to do about it.

It takes the place of a shell in images that have none: names are resolved, servers asked, disks measured.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from lucid_sessions.environment import DEFAULT_REDIS_URL
from lucid_sessions.errors import Refused
from lucid_sessions.operations import private_redis
from lucid_sessions.recordings import reconcile
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import database_fix

GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, or why it is not well."""

    name: str
    well: bool
    text: str
    seconds: float


def look() -> list[Finding]:
    """Every finding, in the order in which things depend on each other."""
    return [_finding(name, check) for name, check in CHECKS.items()]


def _finding(name: str, check: Callable[[], str]) -> Finding:
    began = time.perf_counter()
    try:
        text, well = check(), True
    except DatabaseError as error:
        text, well = f"{error}.{database_fix(error)}", False
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one thing, the others are looked at, too
        text, well = f"{type(error).__name__}: {error}", False
    return Finding(name, well, text, round(time.perf_counter() - began, 3))


def _names() -> str:
    """Every host that a URL names has an address: nothing else can work before."""
    urls = [settings.MONGODB_URL, settings.REDIS_URL, settings.CACHE_URL]
    members = [member for url in urls for member in urlsplit(url).netloc.rpartition("@")[2].split(",")]
    wanted = sorted({host for one in members if (host := urlsplit(f"//{one}").hostname)})
    found = [f"{host} is {socket.getaddrinfo(host, None)[0][4][0]}" for host in wanted]
    return ", ".join(found) or "no server is named in the settings"


def _database() -> str:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        raise Refused(f"{len(waiting)} migrations wait: run `manage.py migrate`.")
    return f"{connection.vendor} answers, and its schema is this release's"


def _broker() -> str:
    named = not settings.EMBEDDED or settings.REDIS_URL != DEFAULT_REDIS_URL
    url = settings.REDIS_URL if named else private_redis.url_in(settings.LUCID_HOME)
    if url is None:
        return "`manage.py run` brings a Redis of its own, and has never run here"
    fix = "start it, or correct REDIS_URL." if named else "is `make run` running?"
    with _reached(url, f"{fix} Nothing is lost meanwhile.") as client:
        told: Any = client.info()
    policy = told.get("maxmemory_policy", "unknown")
    if policy not in ("noeviction", "volatile-lru"):
        raise Refused(f"its maxmemory-policy is {policy}: a full broker would drop tasks; set noeviction.")
    durable = "append-only file" if told.get("aof_enabled") else "nothing on disk"
    return f"Redis {told.get('redis_version')}, {policy}, {told.get('used_memory_human')} used, {durable}"


def _cache() -> str:
    if not settings.CACHE_URL:
        return "none is set: requests are not counted, so not limited"
    with _reached(
        settings.CACHE_URL, "start it, or correct CACHE_URL. Meanwhile nobody is limited."
    ) as client:
        client.ping()
    return "answers"


@contextmanager
def _reached(url: str, fix: str) -> Iterator[redis.Redis]:
    """A client of this Redis; Refused with what to do when it does not answer."""
    try:
        with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
            yield client
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise Refused(f"{str(error).rstrip('.')}: {fix}") from error


def _keys() -> str:
    keys = installation().keys
    public = keys.public
    private = sorted(path.stem for path in (settings.LUCID_KEYS_PATH / "private").glob("*.key"))
    opens = (
        "the archive's password is set"
        if settings.ENCRYPTION_PASSWORD
        else "no password, so nothing is opened here"
    )
    return f"repository {public['repository']}; private here: {', '.join(private) or 'none'}; {opens}"


def _blobs() -> str:
    if not installation().blobs.present():
        raise Refused(
            "the store of blobs is not there: mount it, or `manage.py keys init` (announce) makes it."
        )
    return _room(settings.CHUNK_STORAGE_PATH)


def _spool() -> str:
    """Only where it is mounted: to open it is to make one."""
    if not (settings.SESSION_STORAGE_PATH / "id").is_file():
        return f"{settings.SESSION_STORAGE_PATH} holds no spool here (the API and the sealer need none)"
    spool = installation().spool
    parts = sum(1 for _ in (settings.SESSION_STORAGE_PATH / "takes").rglob("*.part"))
    return f"spool {spool.identity}, {parts} files open; {_room(settings.SESSION_STORAGE_PATH)}"


def _room(path: Path) -> str:
    if not path.exists():
        return "not on a disk of this machine"
    room = os.statvfs(path)
    free = room.f_bavail * room.f_frsize / GIB
    nodes = f", {room.f_favail / room.f_files:.0%} of inodes" if room.f_files else ""
    if free <= float(settings.LUCID_STORAGE_MIN_FREE_GIB):
        needed = settings.LUCID_STORAGE_MIN_FREE_GIB
        raise Refused(f"{path} has {free:.1f} GiB free, {needed:g} are needed: free space, or add some.")
    return f"{path} has {free:.1f} GiB{nodes} free"


def _ledger() -> str:
    log = installation().log()
    newest = log.checkpoint()
    waits = reconcile.oldest_unanchored_seconds()
    if waits > 300:
        raise Refused(f"a chunk has been waiting for {waits:.0f} s: is pipeline-manager running?")
    return f"{newest.size if newest else 0} records are signed; the oldest chunk waits for {waits:.0f} s"


def memory(control_group: Path = Path("/sys/fs/cgroup")) -> str:
    """This process's share of its container's memory, by the kernel."""
    used = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    limit = control_group / "memory.max"
    text = limit.read_text().strip() if limit.is_file() else "max"
    if text == "max":
        return f"this process has {used / 2**20:.0f} MiB; no limit is set"
    whole = int((control_group / "memory.current").read_text())
    return f"the container has {whole / 2**20:.0f} of {int(text) / 2**20:.0f} MiB"


CHECKS: dict[str, Callable[[], str]] = {
    "names": _names,
    "database": _database,
    "broker": _broker,
    "cache": _cache,
    "keys": _keys,
    "blobs": _blobs,
    "spool": _spool,
    "ledger": _ledger,
    "memory": memory,
}
