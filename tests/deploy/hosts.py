"""Recording hosts as network namespaces on one machine: each with its own address, spool and workers.

A namespace of its own holds the stores (a mongod, a Redis, an S3 service by moto), the sealer and the switch
that joins all of them; nothing is reachable from outside. Keys and ledger are directories of this machine.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from recorder.spool import Spool
from tests.deploy import spaces
from tests.deploy.parts import ROOT, run, said
from tests.deploy.serving import await_ready
from tests.servers import mongod_program, redis_program

HUB = "10.213.0.1"
MONGODB = f"mongodb://{HUB}:27017/lucid_sessions?replicaSet=rs0&w=majority&journal=true"
BUCKET = f"s3://lucid/archive?endpoint=http://{HUB}:9000&region=us-east-1"
STAGES = ("capture", "compress", "encrypt", "store")
SECRET = "a key for tests only, long enough to be taken for one 0123456789"


@dataclass
class Site:
    """The namespaces and what runs in them; `home` holds everything on disk."""

    home: Path
    programs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    spaces: list[str] = field(default_factory=list)

    def __enter__(self) -> "Site":
        self._add_space("hub")
        for words in ("link add hub type bridge", f"addr add {HUB}/24 dev hub", "link set hub up"):
            self._ip_in("hub", *words.split())
        try:
            self._start_stores()
            for words in (("migrate", "--no-input"), ("keys", "init")):
                self.manage(*words)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for space in self.spaces:
            self._end_all(space)
            spaces.remove(space)

    def add_host(self, name: str, number: int) -> str:
        """The identity of the host's spool; the host is joined to the others and runs nothing yet."""
        self._add_space(name)
        outer, inner = f"v{number}", "eth0"
        self._ip_in("hub", "link", "add", outer, "type", "veth", "peer", "name", inner)
        self._ip_in("hub", "link", "set", inner, "netns", spaces.named(name))
        self._ip_in("hub", "link", "set", outer, "master", "hub", "up")
        self._ip_in(name, "addr", "add", f"10.213.0.{10 + number}/24", "dev", inner)
        self._ip_in(name, "link", "set", inner, "up")
        return Spool(self.home / name / "spool").identity

    def cut_off(self, name: str) -> None:
        """The host's cable is out."""
        self._ip_in(name, "link", "set", "eth0", "down")

    def join_again(self, name: str) -> None:
        """The cable is back in."""
        self._ip_in(name, "link", "set", "eth0", "up")

    def destroy(self, name: str) -> None:
        """The host is gone at once, its disk too."""
        self._end_all(name)
        shutil.rmtree(self.home / name)

    def start_host(self, name: str, *, spool: str, most_sessions: int, **more: str) -> None:
        """Its workers take the queues of its spool, and its recorder looks for sessions."""
        queues = ",".join(f"{stage}.{spool}" for stage in STAGES)
        more |= {"LUCID_MAX_SESSIONS": str(most_sessions)}
        self.start(name, "worker", *_worker(queues, name), **more)
        self.start(name, "recorder", sys.executable, "manage.py", "recorder", **more)

    def start_core(self) -> None:
        """The sealer, the reconciler and the clock."""
        self.start("hub", "worker", *_worker("anchor,pipeline,maintenance", "hub"))
        beat = (
            sys.executable,
            "-m",
            "tasks",
            "beat",
            "-s",
            str(self.home / "beat"),
            "--pidfile=",
        )
        self.start("hub", "beat", *beat)

    def start(self, space: str, what: str, *command: str, **more: str) -> None:
        """A program runs there, in a process group of its own."""
        with (self.home / f"{space} {what}.log").open("ab") as log:
            self.programs[f"{space} {what}"] = subprocess.Popen(
                spaces.inside(space, *command),
                env=self.environment(space) | more,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def manage(self, *words: str) -> str:
        """What `manage.py` said beside the stores; it must succeed."""
        ended = self.ask(*words)
        assert ended.returncode == 0, said(ended)
        return ended.stdout

    def ask(self, *words: str, on: str = "hub", **more: str) -> "subprocess.CompletedProcess[str]":
        """`manage.py` beside the stores, or on another host, ended."""
        command = spaces.inside(on, sys.executable, "manage.py", *words)
        return run(*command, env=self.environment(on) | more, cwd=ROOT)

    def environment(self, name: str) -> dict[str, str]:
        """What a program on that host is told."""
        own = self.home / name
        return {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "lucid_sessions.settings",
            "LUCID_PROFILE": "production",
            "LUCID_LEDGER_ORIGIN": "hosts.test/log",
            "LUCID_HOST": name,
            "LUCID_QUEUE_PER_SPOOL": "true",
            "LUCID_SEGMENT_SECONDS": "2",
            "LUCID_STORAGE_MIN_FREE_GIB": "0.1",
            "MONGODB_URL": MONGODB,
            "REDIS_URL": f"redis://{HUB}:6379/0",
            **dict.fromkeys(("SECRET_KEY", "JWT_SECRET_KEY"), SECRET),
            **dict.fromkeys(("ENCRYPTION_PASSWORD", "ENCRYPTION_SALT"), SECRET if name == "hub" else ""),
            "LUCID_HOME": str(own / "home"),
            "SESSION_STORAGE_PATH": str(own / "spool"),
            "LUCID_KEYS_PATH": str(self.home / "keys"),
            "LUCID_LEDGER_PATH": str(self.home / "ledger"),
            "STORAGE_URL": BUCKET,
            **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "anybody-may-come-in"),
        }

    @contextlib.contextmanager
    def rows(self) -> Iterator[Any]:
        """The database, by a socket in the file system, which no namespace hides."""
        with self._client() as client:
            yield client["lucid_sessions"]

    def _client(self) -> "MongoClient[dict[str, Any]]":
        socket = f"mongodb://{quote(str(self.home / 'mongodb-27017.sock'), safe='')}"
        return MongoClient(socket, directConnection=True, uuidRepresentation="standard")

    def _start_stores(self) -> None:
        (self.home / "db").mkdir()
        mongod = f"{mongod_program()} --dbpath {self.home}/db --bind_ip {HUB} --replSet rs0 --oplogSize 64"
        mongod += f" --wiredTigerCacheSizeGB 0.25 --unixSocketPrefix {self.home}"
        self.start("hub", "mongod", *mongod.split())
        redis = f"{redis_program()} --bind {HUB} --protected-mode no --appendonly no --dir {self.home}"
        self.start("hub", "redis", *redis.split(), "--save", "")
        self.start("hub", "s3", sys.executable, "-m", "moto.server", "-H", HUB, "-p", "9000")
        for what, ready in (("mongod", self._is_primary), ("s3", self._has_bucket)):
            await_ready(ready, program=self.programs[f"hub {what}"], log=self.home / f"hub {what}.log")

    def _is_primary(self) -> bool:
        with contextlib.suppress(PyMongoError), self._client() as client:
            if not client.admin.command("hello").get("setName"):
                client.admin.command(
                    "replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": f"{HUB}:27017"}]}
                )
            return bool(client.admin.command("hello")["isWritablePrimary"])
        return False

    def _end_all(self, space: str) -> None:
        for name in [one for one in self.programs if one.startswith(f"{space} ")]:
            program = self.programs.pop(name)
            program.kill()
            program.wait()
        spaces.kill_all(space)

    def _has_bucket(self) -> bool:
        made = f"import boto3; boto3.client('s3', endpoint_url='http://{HUB}:9000').create_bucket(Bucket='lucid')"
        keys = {"AWS_DEFAULT_REGION": "us-east-1"} | self.environment("hub")
        return run(*spaces.inside("hub", sys.executable, "-c", made), env=keys).returncode == 0

    def freeze(self, name: str) -> None:
        """The program and those that it started stand still."""
        os.killpg(self.programs[name].pid, signal.SIGSTOP)

    def _add_space(self, name: str) -> None:
        (self.home / name).mkdir()
        spaces.add(name)
        self.spaces.append(name)

    def _ip_in(self, space: str, *words: str) -> None:
        spaces.ip("-n", spaces.named(space), *words)


def _worker(queues: str, name: str) -> tuple[str, ...]:
    command = (sys.executable, "-m", "tasks", "worker", "-n", f"worker@{name}", "-Q", queues)
    pool = ("--pool", "threads", "--concurrency", "2", "--loglevel", "INFO")
    return (*command, *pool, "--without-gossip", "--without-mingle")
