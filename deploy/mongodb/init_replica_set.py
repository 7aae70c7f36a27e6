"""Makes mongod a replica set of one and gives the application its own account; harmless when repeated.

The one-shot service `mongodb-init` runs it. Transactions, change streams and majority reads need a
replica set, even of one. The root account (made by the image's own entry point) is used here only.

    MONGO_HOST                 host:port as every client will reach it, since the set advertises it
    MONGO_ROOT_USERNAME        MONGO_ROOT_PASSWORD_FILE
    MONGODB_DATABASE           MONGO_APP_PASSWORD_FILE
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

NOT_YET_INITIALISED = 94
USER_NOT_FOUND = 11
REPLICA_SET = "rs0"
APPLICATION = "lucid"
WAIT_SECONDS = 60


def main() -> None:
    """The set is formed, the account exists with the password of today, and the primary accepts writes."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        os.environ["MONGO_HOST"],
        username=os.environ["MONGO_ROOT_USERNAME"],
        password=_secret("MONGO_ROOT_PASSWORD_FILE"),
        authSource="admin",
        directConnection=True,
        serverSelectionTimeoutMS=30_000,
    )
    form_set(client, member=os.environ["MONGO_HOST"])
    wait_for_primary(client)
    grant(client, database=os.environ["MONGODB_DATABASE"], password=_secret("MONGO_APP_PASSWORD_FILE"))


def form_set(client: MongoClient[dict[str, Any]], *, member: str) -> None:
    """A replica set with this one member, unless there is a set already."""
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALISED:
            raise
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": member}]})
        print(f"replica set {REPLICA_SET} formed with {member}")


def wait_for_primary(client: MongoClient[dict[str, Any]]) -> None:
    """Returns once this member accepts writes; TimeoutError after a minute."""
    end = time.monotonic() + WAIT_SECONDS
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.monotonic() > end:
            raise TimeoutError(f"MongoDB did not become primary in {WAIT_SECONDS} s: read its log.")
        time.sleep(0.25)


def grant(client: MongoClient[dict[str, Any]], *, database: str, password: str) -> None:
    """The application's account: its own database and nothing else (dbAdmin: compact and collMod)."""
    roles = [{"role": role, "db": database} for role in ("readWrite", "dbAdmin")]
    try:
        client[database].command("updateUser", APPLICATION, pwd=password, roles=roles)
    except OperationFailure as error:
        if error.code != USER_NOT_FOUND:
            raise
        client[database].command("createUser", APPLICATION, pwd=password, roles=roles)
        print(f"account {APPLICATION} made for {database}")


def _secret(name: str) -> str:
    return Path(os.environ[name]).read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    try:
        main()
    except KeyError as error:
        sys.exit(f"init_replica_set: {error.args[0]} is not set.")
    except (OSError, PyMongoError) as error:
        sys.exit(f"init_replica_set: {error}")
