"""The one-shot `mongodb-init` against a real mongod with a key file, as Compose starts it.

The server is 6.0 (the wheel's), the image's is 8.0; the root account, which the image's entry point
makes, is made here through the localhost exception.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from tests.deploy.parts import DEPLOY, ROOT, run, said
from tests.deploy.serving import free_port, started, until
from tests.servers import mongod_program


@dataclass(frozen=True)
class Store:
    port: int
    secrets: Path

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
        url = (self.secrets / "mongodb_url").read_text()
        return MongoClient(
            url.replace("mongodb:27017", f"127.0.0.1:{self.port}"), serverSelectionTimeoutMS=5000
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("mongodb")
    assert run(sys.executable, DEPLOY / "make_secrets.py", "--into", home / "secrets").returncode == 0
    made = Store(port=free_port(), secrets=home / "secrets")
    keyfile = home / "keyfile"
    shutil.copyfile(made.secrets / "mongodb_keyfile", keyfile)
    keyfile.chmod(0o400)
    (home / "db").mkdir()
    command: list[str | Path] = [
        "--dbpath",
        home / "db",
        "--bind_ip",
        "127.0.0.1",
        "--port",
        str(made.port),
        "--nounixsocket",
    ]
    cluster: list[str | Path] = [
        "--replSet",
        "rs0",
        "--keyFile",
        keyfile,
        "--wiredTigerCacheSizeGB",
        "0.25",
        "--oplogSize",
        "64",
    ]
    with started(mongod_program(), *command, log=home / "alone.log") as program:
        until(lambda: _root_made(made), program=program, log=home / "alone.log")
    with started(mongod_program(), *command, *cluster, log=home / "set.log") as program:
        until(lambda: _listens(made), program=program, log=home / "set.log")
        made.initialise()
        yield made


def _local(store: Store) -> "MongoClient[dict[str, Any]]":
    return MongoClient("127.0.0.1", store.port, directConnection=True, serverSelectionTimeoutMS=200)


def _listens(store: Store) -> bool:
    with _local(store) as client:
        try:
            return bool(client.admin.command("ping"))
        except PyMongoError:
            return False


def _root_made(store: Store) -> bool:
    password = (store.secrets / "mongo_root_password").read_text()
    with _local(store) as client:
        try:
            client.admin.command("createUser", "lucid_admin", pwd=password, roles=["root"])
        except PyMongoError:
            return False
    return True


def test_the_health_check_needs_no_account(store: Store) -> None:
    assert _listens(store)


def test_the_application_writes_with_majority_and_reads_with_its_url(store: Store) -> None:
    with store.client() as client:
        client.lucid_sessions.shelf.insert_one({"_id": 1})
        assert client.lucid_sessions.shelf.find_one({"_id": 1}) == {"_id": 1}
        assert client.write_concern.document == {"w": "majority", "j": True}


def test_the_application_can_use_a_transaction_and_a_snapshot(store: Store) -> None:
    with store.client() as client:
        client.lucid_sessions.shelf.create_index("number")
        with client.start_session() as session, session.start_transaction():
            client.lucid_sessions.shelf.insert_one({"_id": 2}, session=session)
        with client.start_session(snapshot=True) as session:
            assert client.lucid_sessions.shelf.find_one({"_id": 2}, session=session) == {"_id": 2}


def test_the_application_cannot_read_other_databases(store: Store) -> None:
    with store.client() as client, pytest.raises(OperationFailure, match="not authorized"):
        client.admin["system.users"].find_one()


def test_nobody_without_an_account_reads_anything(store: Store) -> None:
    with _local(store) as client, pytest.raises(OperationFailure, match="requires authentication"):
        client.lucid_sessions.shelf.find_one()


def test_it_can_be_run_again_and_renews_the_password(store: Store) -> None:
    assert store.initialise() == ""
    with store.client() as client:
        assert client.lucid_sessions.command("ping")["ok"] == 1
