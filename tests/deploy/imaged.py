"""All services in an image's root directory, beside a MongoDB and a Redis, in a network of their own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.deploy import spaces, stores
from tests.deploy.containers import Containers
from tests.deploy.parts import PORTS
from tests.deploy.serving import await_ready

STARTED = PORTS | {"flower": 5555}
LISTENS = "0A"  # a TCP socket's state, as the kernel prints it


@contextlib.contextmanager
def imaged(root: Path, *, home: Path) -> Iterator[Containers]:
    """They were started after the one-shots and say that they are well, within the block."""
    home.chmod(0o755)
    secrets = stores.make_secrets(home / "secrets")
    # An engine mounts them into directories of its own.
    secrets.chmod(0o755)
    spaces.add("image")
    made = Containers(root, home, secrets, "image")
    try:
        with spaces.stores(made.space) as (database, redis):
            _connected(made, database=database, redis=redis)
            for one_shot in ("migrate", "keys-init", "keys-share"):
                made.one_shot(one_shot)
            try:
                _start(made)
                yield made
            finally:
                made.stop()
    finally:
        spaces.remove("image")


def _connected(made: Containers, *, database: str, redis: str) -> None:
    for name, url in {
        "mongodb_url": database.replace("/?", "/lucid_sessions?"),
        "redis_url": redis,
        "cache_url": redis.replace("/0", "/1"),
    }.items():
        (made.secrets / name).unlink()
        (made.secrets / name).write_text(url)


def _start(made: Containers) -> None:
    for name in STARTED:
        made.start(name)
    for name, port in STARTED.items():

        def well(name: str = name, port: int = port) -> bool:
            # A health check is a process of its own, so none before there is somebody to be asked.
            return listens(port, pid=made.programs[name].pid) and made.is_healthy(name)

        await_ready(well, program=made.programs[name], log=made.log(name))


def listens(port: int, *, pid: int) -> bool:
    """Whether somebody in that process' network listens on the port."""
    files = (Path(f"/proc/{pid}/net/{kind}") for kind in ("tcp", "tcp6"))
    lines = [line.split() for file in files for line in file.read_text().splitlines()[1:]]
    return any(line[1].endswith(f":{port:04X}") and line[3] == LISTENS for line in lines)
