"""The database's regular care, safe while everything runs: checked, analysed, its space given back.

And what lies about: temporary files of writers that died (removed, when a day old), copies that a restore
put aside, rows that refer to nothing, blobs without rows, rows without blobs. Those are reported, never
removed: a blob without a row may be what is left of a lost database, and `rebuild` makes the row from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.db import OperationalError

from lucid_sessions.durable import remove_stray
from lucid_sessions.operations.backup.engines import REPLACED, database_path, engine
from lucid_sessions.operations.backup.point import database
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import ARCHIVED
from lucid_sessions.recordings.models import Chunk, Closure, Gap, Session, SessionKey, Take

# A writer may be at work on anything younger.
STRAY_SECONDS = 24 * 3600.0
# VACUUM rewrites the file while writers wait: only for something to gain, and within their patience.
VACUUM_FREE_PART = 0.2
VACUUM_MOST_BYTES = 1 << 30
BUSY_MS = 20_000
# Figures about smaller tables are forgotten: see `_sqlite`.
FEW_ROWS = 1_000
LOT = 500


@dataclass
class Report:
    """What was done, what is wrong (a check failed), and what a person may want to look at."""

    done: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def maintain(world: Installation) -> Report:
    """The report, after the database was checked and tended and everything else looked at."""
    report = Report()
    care = {"sqlite": _sqlite, "mongodb": _mongodb}.get(engine())
    if care:
        care(report)
    else:
        report.notes.append(f"{engine()} tends itself (autovacuum): nothing was done")
    for root in (world.ledger_root, world.keys_root):
        if root.is_dir() and (gone := remove_stray(root, older_than_seconds=STRAY_SECONDS)):
            report.done.append(f"{gone} temporary files of dead writers removed below {root}")
    if world.blobs.present() and (gone := world.blobs.sweep(older_than_seconds=STRAY_SECONDS)):
        report.done.append(f"{gone} unfinished writes of dead writers removed from {world.blobs.place}")
    report.notes += _put_aside()
    report.wrong += _dangling()
    _blobs(world, report)
    return report


def _sqlite(report: Report) -> None:
    with database.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        found = [row[0] for row in cursor.fetchall()]
        if found != ["ok"]:
            report.wrong += [f"the database is damaged: {one}" for one in found[:5]]
            return
        report.done.append("integrity check: ok")
        # Bounded: enough rows of each index to choose well, never minutes of reading.
        cursor.execute("PRAGMA analysis_limit=1000")
        cursor.execute("ANALYZE")
        # A handful of rows is best read whole, and the figures would go on saying so when there are many.
        # Without figures the planner expects many.
        cursor.execute("DELETE FROM sqlite_stat1 WHERE CAST(stat AS INTEGER) < %s", [FEW_ROWS])
        cursor.execute("ANALYZE sqlite_schema")
        report.done.append("statistics renewed")
        _vacuum(cursor, report)
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _vacuum(cursor: object, report: Report) -> None:
    execute = cursor.execute  # type: ignore[attr-defined]  # Django's wrapper has no public type
    pages, free, size = (
        execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
    )
    if free < VACUUM_FREE_PART * pages:
        report.done.append(f"no need to compact: {free} of {pages} pages are free")
        return
    if pages * size > VACUUM_MOST_BYTES:
        report.notes.append(
            f"{free * size / 1e6:.0f} MB could be given back, but compacting {pages * size / 1e9:.1f} GB "
            "would keep writers waiting: stop the services and run `sqlite3 FILE VACUUM`"
        )
        return
    try:
        execute(f"PRAGMA busy_timeout={BUSY_MS}")
        execute("VACUUM")
        report.done.append(f"compacted: {free * size / 1e6:.1f} MB given back")
    except OperationalError as error:
        report.notes.append(f"not compacted this time, others were at work: {error}")


def _mongodb(report: Report) -> None:
    store = database.database
    for name in sorted(database.introspection.table_names()):
        # In the background it takes no lock; it needs WiredTiger, as every supported version has.
        found = store.command({"validate": name, "background": True})
        if not found["valid"]:
            report.wrong.append(f"collection {name} is damaged: {', '.join(found['errors'][:3])}")
    figures = store.command("dbStats")
    report.done.append(
        f"{figures['collections']} collections validated: {figures['objects']} documents, "
        f"{figures['dataSize'] / 1e6:.1f} MB, indexes {figures['indexSize'] / 1e6:.1f} MB"
    )
    report.notes += [
        f"collection {name} was put aside by a restore: drop it when it is no longer needed"
        for name in store.list_collection_names()
        if name.startswith(REPLACED)
    ]


def _put_aside() -> Iterator[str]:
    if engine() == "sqlite":
        path = database_path()
        for kept in sorted(path.parent.glob(f"{path.name}.before-*")):
            yield f"{kept} was put aside by a restore: remove it when it is no longer needed"
    for kept in sorted(Path(settings.LUCID_KEYS_PATH).rglob("*.from-backup")):
        yield f"{kept} differs from the key in use: compare, then remove it"


def _dangling() -> Iterator[str]:
    """Rows that name a session which is not there: MongoDB does not hold foreign keys for us."""
    for model in (SessionKey, Take, Closure, Gap, Chunk):
        named = set(model._base_manager.values_list("session", flat=True).distinct())
        for lot in _lots(sorted(named)):
            there = set(Session.objects.filter(pk__in=lot).values_list("pk", flat=True))
            for lost in sorted(set(lot) - there):
                yield f"{model._meta.verbose_name_plural} of session {lost} have lost its row"


def _blobs(world: Installation, report: Report) -> None:
    if not world.blobs.present():
        report.wrong.append(f"no blob store at {world.blobs.place}: mount that disk")
        return
    # Rows first: a blob that is stored meanwhile must not look like one without a row for long.
    wanted = set(Chunk.objects.filter(state__in=ARCHIVED).values_list("blob", flat=True))
    stored = set(world.blobs.names())
    report.done.append(f"{len(stored)} blobs in the store, {len(wanted)} named by rows")
    lost = set()
    for lot in _lots(sorted(wanted - stored)):
        # Looked up again: it may have been shredded since.
        lost |= set(Chunk.objects.filter(blob__in=lot, state__in=ARCHIVED).values_list("blob", flat=True))
    report.wrong += [f"blob {name} is missing: restore it from a backup" for name in sorted(lost)[:20]]
    strange = stored - wanted
    if strange:
        report.notes.append(
            f"{len(strange)} blobs have no row that names them: on their way, left by a dead worker, "
            "or newer than the database (`scrub` and `rebuild` know what to do)"
        )


def _lots(items: list) -> Iterator[list]:
    rest = iter(items)
    while lot := list(islice(rest, LOT)):
        yield lot
