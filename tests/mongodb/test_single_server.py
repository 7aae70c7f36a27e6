"""A MongoDB that belongs to no replica set is refused before anything is written to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient

from tests.operations.processes import ROOT
from tests.servers import single_mongod


@pytest.mark.parametrize("verb", ["migrate", "prepare"])
def test_it_says_what_the_server_lacks_and_writes_nothing(verb: str, tmp_path: Path) -> None:
    with single_mongod() as url:
        env = os.environ | {"MONGODB_URL": f"{url}lucid", "LUCID_HOME": str(tmp_path)}
        command = [sys.executable, "manage.py", verb]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        with MongoClient[dict[str, object]](url) as client:
            assert "lucid" not in client.list_database_names()
    assert done.returncode != 0
    assert "MONGODB_URL names a MongoDB that belongs to no replica set" in done.stderr
    assert "--replSet rs0" in done.stderr
