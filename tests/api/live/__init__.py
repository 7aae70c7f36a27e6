"""The API as a deployment runs it: a server process and Redis, on whichever database the tests are on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from lucid_sessions.operations.premises import answers
from tests.operations.processes import ROOT, environment, output, running
from tests.ports import free_port
from tests.servers import redis_server
from tests.waiting import until

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Live:
    """A running API, and what its archive holds."""

    url: str
    # The server's own process: its workers are its children.
    server: int
    variables: dict[str, str]
    password: str
    # See `furnish`: an access token, the ids of a sealed session and its chunks.
    held: dict[str, Any]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def bearer(self) -> dict[str, str]:
        """The header that says who asks: the administrator, for ten minutes."""
        return {"Authorization": f"Bearer {self.held['access']}"}

    @property
    def workers(self) -> list[int]:
        """The processes that answer."""
        below = psutil.Process(self.server).children(recursive=True)
        return [one.pid for one in below if _answers(one, self.port)]

    @property
    def ids(self) -> dict[str, str]:
        """What stands in addresses, by the names of the document's path parameters."""
        ids = {"session_id": self.held["session"], "chunk_id": self.held["chunks"][0]}
        return {**ids, "job_id": self.held["job"]}


@contextmanager
def live_api(home: Path, *furnishing: str, **more: str) -> Iterator[Live]:
    """session-api with two workers over an archive that `furnish` filled, until the block ends."""
    mongodb = os.environ.get("MONGODB_URL", "")
    if mongodb:
        more["MONGODB_URL"] = mongodb.replace("/?", f"/live_{uuid4().hex[:8]}?")
    port = free_port()
    with redis_server() as redis:
        more = {"REDIS_URL": redis, "LUCID_STORAGE_MIN_FREE_GIB": "0", "LOG_LEVEL": "ERROR", **more}
        variables = environment(home, **more)
        _ran("manage.py", "prepare", variables=variables)
        held = json.loads(_ran("-m", "tests.api.live.furnish", *furnishing, variables=variables))
        with running(home, "service", "session-api", "--port", str(port), **more) as process:
            until(lambda: answers(HOST, port, "/health") or process.poll() is not None, "it answers")
            assert process.poll() is None, output(home)
            password = (home / "keys" / "secrets" / "admin_password").read_text().strip()
            yield Live(f"http://{HOST}:{port}", process.pid, variables, password, held)


def _answers(process: psutil.Process, port: int) -> bool:
    """It listens, and is not granian's first process, which starts the others; one that is gone does neither.

    Beside them is one that makes exports.
    """
    try:
        listens = any(one.laddr and one.laddr.port == port for one in process.net_connections("tcp"))
        return listens and not process.children()
    except psutil.NoSuchProcess:
        return False


def _ran(*arguments: str, variables: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
