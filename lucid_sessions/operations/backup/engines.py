"""The database as files: SQLite by its online backup, MongoDB as mongodump lays its BSON out. And back."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from lucid_sessions.durable import blaming, make_directory, sync_directory
from lucid_sessions.errors import Refused, Retryable, Tampered

from .point import database

SQLITE_FILE = "lucid.sqlite3"
MONGO_FOLDER = "mongodb"
RESTORING = "lucid_restoring__"
REPLACED = "lucid_replaced__"
BATCH = 1000


def engine() -> str:
    """Which database the settings name: sqlite, mongodb or another of Django's."""
    return str(database.vendor)


def dump(folder: Path) -> None:
    """The whole database in files below folder. Call it inside `one_point`; Refused where no way is known."""
    if engine() == "sqlite":
        _dump_sqlite(folder / SQLITE_FILE)
    elif engine() == "mongodb":
        _readable(_dump_mongo)(folder / MONGO_FOLDER)
    # Any other has only the portable rows.


def load(folder: Path, *, aside: str) -> None:
    """The database is the one in these files; what was there is kept, under a name with `aside`."""
    if engine() == "sqlite":
        _load_sqlite(folder / SQLITE_FILE, aside=aside)
    elif engine() == "mongodb":
        _readable(_load_mongo)(folder / MONGO_FOLDER, aside=aside)
    else:
        raise Refused(f"A {engine()} database is restored from the portable rows only")


def database_path() -> Path:
    """The SQLite database's file."""
    return Path(settings.DATABASES["default"]["NAME"])


def _dump_sqlite(target: Path) -> None:
    make_directory(target.parent)
    with blaming("write", target), closing(_opened(target)) as copy:
        try:
            # From the connection that holds the point: its open transaction is what gets copied.
            database.connection.backup(copy)
            # One file, and no log beside it that could be forgotten.
            copy.execute("PRAGMA journal_mode=DELETE")
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.Error as error:
            raise _failed("write", target, error) from error
    if found != "ok":
        raise Tampered(f"The database is damaged: {found}. Restore it from an earlier backup")
    _sync(target)


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path)
    except sqlite3.Error as error:
        raise _failed("open", path, error) from error


def _failed(action: str, path: Path, error: sqlite3.Error) -> Retryable:
    return Retryable(f"Could not {action} {path}: {error}. Free space there, or check that disk.")


def _load_sqlite(source: Path, *, aside: str) -> None:
    target = database_path()
    connections.close_all()
    make_directory(target.parent)
    fresh = target.with_name(f"{target.name}.restoring")
    with blaming("write", fresh):
        fresh.write_bytes(b"")
        fresh.chmod(0o600)
        with source.open("rb") as old, fresh.open("wb") as new:
            while block := old.read(1 << 20):
                new.write(block)
            new.flush()
            os.fsync(new.fileno())
    _put_aside(target, aside)
    with blaming("rename", fresh):
        fresh.rename(target)
    sync_directory(target.parent)


def migrate() -> None:
    """The database is of this program's version; one that is already costs a look only."""
    executor = MigrationExecutor(connections["default"])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def put_aside(aside: str) -> None:
    """There is no database any more; the one that was there is kept under a name with `aside`."""
    connections.close_all()
    if engine() == "sqlite":
        _put_aside(database_path(), aside)
    elif engine() == "mongodb":
        database.ensure_connection()
        _readable(_rename_collections)(aside, names=[])
    else:
        raise Refused(f"Empty the {engine()} database first: this cannot put one aside")


def _put_aside(target: Path, aside: str) -> None:
    """The damaged database with its log, for a person to look at. The log first: alone it harms nobody."""
    nothing = _holds_nothing(target)
    for suffix in ("-wal", "-shm", ""):
        path = target.with_name(target.name + suffix)
        kept = target.with_name(f"{target.name}.{aside}{suffix}")
        with blaming("rename", path):
            if path.exists() and (nothing or target.with_name(f"{target.name}.{aside}").exists()):
                path.unlink()  # what a run that died had made: the old one is safe already
            elif path.exists():
                path.rename(kept)


def _holds_nothing(path: Path) -> bool:
    """True for a database without a table: whoever asks after one that is lost leaves such a file behind."""
    log = path.with_name(f"{path.name}-wal")
    if not path.exists() or (log.exists() and log.stat().st_size):
        return False
    try:
        # Nothing is recovered, or written, by this look.
        with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as found:
            return found.execute("SELECT 1 FROM sqlite_master").fetchone() is None
    except sqlite3.Error:
        return False


def _sync(path: Path) -> None:
    with blaming("sync", path), path.open("rb") as file:
        os.fsync(file.fileno())
    sync_directory(path.parent)


def _readable(operation: Callable[..., None]) -> Callable[..., None]:
    """The same; a server that dies or is replaced meanwhile is an OperationalError, as from the ORM."""
    from lucid_sessions.mongodb.failures import readable

    return readable(operation)


def _dump_mongo(folder: Path) -> None:
    from bson import json_util
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    raw = CodecOptions(document_class=RawBSONDocument)
    make_directory(folder)
    for name in _collections():
        rows = database.database.get_collection(name, codec_options=raw)
        with blaming("write", folder / name), (folder / f"{name}.bson").open("wb") as file:
            for document in rows.find({}, session=database.session, batch_size=BATCH):
                file.write(document.raw)
            file.flush()
            os.fsync(file.fileno())
        indexes = [
            {**dict(facts), "key": dict(facts["key"]), "name": index}
            for index, facts in database.database[name].index_information().items()
        ]
        about = {"options": {}, "indexes": indexes, "collectionName": name}
        with blaming("write", folder / name):
            (folder / f"{name}.metadata.json").write_text(json_util.dumps(about))
        _sync(folder / f"{name}.metadata.json")


def _collections() -> list[str]:
    names = database.database.list_collection_names()
    return sorted(name for name in names if not name.startswith(("system.", RESTORING, REPLACED)))


def _load_mongo(folder: Path, *, aside: str) -> None:
    """Into collections of other names first; then each takes its name, and the old one another."""
    database.ensure_connection()
    names = sorted(path.stem for path in folder.glob("*.bson"))
    for name in names:
        _load_collection(folder, name)
    _rename_collections(aside, names=names)


def _rename_collections(aside: str, *, names: list[str]) -> None:
    """The collections that are there are kept aside, once; those that were loaded take their names."""
    there, known = set(_collections()), set(database.database.list_collection_names())
    for name in sorted(there | set(names)):
        kept = f"{REPLACED}{aside}__{name}"
        if name in there and kept not in known:
            database.database[name].rename(kept)
        elif name in there and name not in names:
            database.database.drop_collection(name)
        if name in names:
            database.database[RESTORING + name].rename(name, dropTarget=True)


def _load_collection(folder: Path, name: str) -> None:
    from bson import decode_file_iter, json_util
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    database.database.drop_collection(RESTORING + name)
    rows = database.database.create_collection(RESTORING + name)
    batch: list[Any] = []
    with blaming("read", folder / name), (folder / f"{name}.bson").open("rb") as file:
        for document in decode_file_iter(file, CodecOptions(document_class=RawBSONDocument)):
            batch.append(document)
            if len(batch) == BATCH:
                rows.insert_many(batch)
                batch = []
        if batch:
            rows.insert_many(batch)
        about = json_util.loads((folder / f"{name}.metadata.json").read_text())
    for index in about["indexes"]:
        if index["name"] == "_id_":
            continue
        options = {key: value for key, value in index.items() if key not in ("key", "v", "ns")}
        rows.create_index(list(index["key"].items()), **options)
