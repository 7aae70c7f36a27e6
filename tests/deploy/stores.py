"""MongoDB and the two Redis with the deployment's own files and secrets, on loopback, without containers."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.deploy.parts import DEPLOY, ROOT, run, said, system_tool
from tests.deploy.serving import await_ready, started
from tests.ports import free_port
from tests.servers import mongod_program

URLS = {"broker": "redis_url", "cache": "cache_url"}


def make_secrets(into: Path) -> Path:
    """The directory that deploy/make_secrets.py has filled."""
    system_tool("openssl", package="openssl")
    ended = run(sys.executable, DEPLOY / "make_secrets.py", "--into", into)
    assert ended.returncode == 0, said(ended)
    return into


@contextlib.contextmanager
def redis_by(kind: str, *, secrets: Path, home: Path) -> Iterator[str]:
    """The URL, with its password, of a Redis that runs deploy/redis/<kind>.conf (its directory aside)."""
    server, port, log = system_tool("redis-server", package="redis-server 7"), free_port(), home / "redis.log"
    text = (DEPLOY / f"redis/{kind}.conf").read_text()
    text = text.replace("/run/secrets", str(secrets)).replace("dir /data", f"dir {home}")
    text = text.replace("bind * -::*", "bind 127.0.0.1").replace("port 6379", f"port {port}")
    (home / "redis.conf").write_text(text)
    url = (secrets / URLS[kind]).read_text()
    with started(server, home / "redis.conf", log=log) as program:
        await_ready(lambda: _pings(port), program=program, log=log)
        yield url.replace(f"redis-{kind}:6379", f"127.0.0.1:{port}")


def _pings(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as anybody:
        return bool(anybody.ping())
    return False


@dataclass(frozen=True)
class Store:
    """A running mongod, and the secrets that lead into it."""

    port: int
    secrets: Path

    @property
    def url(self) -> str:
        """What the application is given, but for the address."""
        return (self.secrets / "mongodb_url").read_text().replace("mongodb:27017", f"127.0.0.1:{self.port}")

    def initialise(self) -> str:
        """What the one-shot service said; it must succeed."""
        environment = {
            "PATH": os.environ["PATH"],
            "MONGO_HOST": f"127.0.0.1:{self.port}",
            "MONGO_ROOT_USERNAME": "lucid_admin",
            "MONGO_ROOT_PASSWORD_FILE": str(self.secrets / "mongo_root_password"),
            "MONGODB_DATABASE": "lucid_sessions",
            "MONGO_APP_PASSWORD_FILE": str(self.secrets / "mongo_app_password"),
        }
        ended = run(sys.executable, DEPLOY / "mongodb/init_replica_set.py", env=environment, cwd=ROOT)
        assert ended.returncode == 0, said(ended)
        return said(ended)

    def client(self) -> "MongoClient[dict[str, Any]]":
        """A client by the URL that the application gets."""
        return MongoClient(self.url)

    def stranger(self) -> "MongoClient[dict[str, Any]]":
        """A client without an account."""
        return MongoClient("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=5000)

    def answers(self) -> bool:
        """What the container's health check asks."""
        with contextlib.suppress(PyMongoError), self.stranger() as client:
            return bool(client.admin.command("ping"))
        return False

    def make_root(self) -> bool:
        """The root account, as the image's entry point makes it; False while mongod is still starting."""
        password = (self.secrets / "mongo_root_password").read_text()
        with contextlib.suppress(PyMongoError), self.stranger() as client:
            client.admin.command("createUser", "lucid_admin", pwd=password, roles=["root"])
            return True
        return False


@contextlib.contextmanager
def mongodb(home: Path, *, secrets: Path) -> Iterator[Store]:
    """A replica set of one with a key file and accounts, as Compose and `mongodb-init` leave it."""
    store, log = Store(port=free_port(), secrets=secrets), home / "mongod.log"
    # The wheel's mongod is 6.0, the image's 8.0.
    alone = f"{mongod_program()} --dbpath {home}/db --bind_ip 127.0.0.1 --port {store.port}".split()
    alone.append("--nounixsocket")
    member = f"--replSet rs0 --keyFile {home}/keyfile --wiredTigerCacheSizeGB 0.25 --oplogSize 64".split()
    (home / "db").mkdir()
    shutil.copyfile(secrets / "mongodb_keyfile", home / "keyfile")
    (home / "keyfile").chmod(0o400)
    with started(*alone, log=log) as program:
        await_ready(store.make_root, program=program, log=log)
    with started(*alone, *member, log=log) as program:
        await_ready(store.answers, program=program, log=log)
        store.initialise()
        yield store
