"""The same way back on a real mongod, and the move between the two kinds of database."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from tests.operations.backup.bson_reader import documents
from tests.operations.backup.site import ROOT, ROWS, Site
from tests.servers import mongod

CHOSEN = "comes_back_whole or one_point or sound_installation or asked_directly"
pytestmark = pytest.mark.sqlite_only("they start a MongoDB of their own")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a mongod of this module's own."""
    with mongod() as url:
        yield url


def test_what_was_backed_up_from_mongodb_comes_back(server: str) -> None:
    folder = Path(__file__).parent
    chosen = [
        str(folder / f"test_{name}.py") for name in ("way_back", "point_in_time", "maintain", "mongodb_dies")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-k", CHOSEN, *chosen]
    outside = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    checks = subprocess.run(
        command,
        cwd=ROOT,
        env={**outside, "MONGODB_URL": server},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(checks.stdout)
    assert checks.returncode == 0, checks.stdout


def test_an_installation_moves_to_mongodb_and_back(site: Site, tmp_path: Path, server: str) -> None:
    rows = site.facts(ROWS)
    away = Site(site.home, (("MONGODB_URL", server.replace("/?", "/moved?")),))
    site.manage("migrate_store", "--export", tmp_path / "rows.zst")
    assert (
        "compared row by row: 0 differ" in away.manage("migrate_store", "--import", tmp_path / "rows.zst").out
    )
    assert "holds sessions" in away.manage("migrate_store", "--import", tmp_path / "rows.zst", expect=2).err
    away.manage("verify", "--all")
    away.manage("migrate_store", "--export", tmp_path / "back.zst")
    site.lose("lucid.sqlite3", "lucid.sqlite3-wal", "lucid.sqlite3-shm")
    site.manage("migrate_store", "--import", tmp_path / "back.zst")
    assert site.facts(ROWS) == rows


def test_a_snapshot_of_sqlite_is_restored_into_mongodb_and_a_dump_of_that_is_what_mongodb_writes(
    site: Site, tmp_path: Path, server: str
) -> None:
    rows = site.facts(ROWS)
    site.manage("backup", tmp_path / "backups")
    site.lose()
    away = Site(site.home, (("MONGODB_URL", server.replace("/?", "/restored?")),))
    away.manage("restore", tmp_path / "backups", "--verify")
    assert away.facts(ROWS) == rows
    away.manage("backup", tmp_path / "dumped")
    (dump,) = (tmp_path / "dumped").glob("snapshots/*/metadata/mongodb")
    sessions, chunks = (_read(dump, f"recordings_{name}") for name in ("session", "chunk"))
    assert {one["name"]: (one["status"], one["tags"]) for one in sessions} == {
        "first": ("completed", []),
        "second": ("completed", []),
    }
    stored = {path.name for path in (site.home / "blobs").rglob("*") if len(path.name) == 64}
    assert {one["blob"] for one in chunks} == stored
    assert {one["session_id"] for one in chunks} == {one["_id"] for one in sessions}
    assert all(type(one["sequence"]) is int and one["created_at"].year >= 2024 for one in chunks)
    with MongoClient[dict[str, Any]](server) as client:
        _assert_whole(dump, client["restored"])


def _assert_whole(dump: Path, database: Database[dict[str, Any]]) -> None:
    """Every collection is in the dump with every document, and with the indexes that are made anew."""
    names = set(database.list_collection_names())
    assert {path.stem for path in dump.glob("*.bson")} == names > {"recordings_chunk", "recordings_upkeep"}
    for name in names:
        # The backup notes itself when it has succeeded.
        assert len(_read(dump, name)) == database[name].count_documents({"_id": {"$ne": "backup"}}), name
        about = json.loads((dump / f"{name}.metadata.json").read_text())
        assert about["collectionName"] == name
        assert {
            one["name"]: (list(one["key"].items()), one.get("unique"), one.get("partialFilterExpression"))
            for one in about["indexes"]
        } == {
            index: (one["key"], one.get("unique"), one.get("partialFilterExpression"))
            for index, one in database[name].index_information().items()
        }


def _read(dump: Path, name: str) -> list[dict[str, Any]]:
    return list(documents((dump / f"{name}.bson").read_bytes()))
