"""What a restore notes while it is at work: one that died goes on, and replaces nothing that it put there."""

import json
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, connections

from lucid_sessions.durable import blaming, sync_directory, write_durably
from lucid_sessions.errors import Refused
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

JOURNAL = "restoring.json"


def begin(world: Installation, snapshot: str, *, over: bool) -> str:
    """The name under which the database that is here is kept; the same as before if a run died before that.

    Empty: it stays. An earlier run had put this snapshot's in place, and people may have worked with it
    since; what was left to do after that takes nothing from it. Refused: there is something, and `over` was
    not said.
    """
    before = _noted(world)
    if before.get("aside"):
        return str(before["aside"])
    if before.get("snapshot") == snapshot and not over and _is_readable():
        return ""
    if not over and not _is_empty(world):
        raise Refused(
            "This installation is not empty: --over restores over it (its database is kept aside, blobs "
            "and log that are sound stay)"
        )
    aside = f"before-{datetime.now(tz=UTC):%Y%m%dT%H%M%S%fZ}"
    note(world, snapshot, aside)
    return aside


def note(world: Installation, snapshot: str, aside: str) -> None:
    """The database is about to be put `aside`; empty: the snapshot's is in place."""
    content = {"snapshot": snapshot, "aside": aside}
    write_durably(world.keys_root / JOURNAL, json.dumps(content).encode())


def end(world: Installation) -> None:
    """The restore is done."""
    path = world.keys_root / JOURNAL
    with blaming("remove", path):
        path.unlink(missing_ok=True)
    sync_directory(path.parent)


def _noted(world: Installation) -> dict[str, Any]:
    path = world.keys_root / JOURNAL
    with blaming("read", path):
        return dict(json.loads(path.read_bytes())) if path.is_file() else {}


def _is_readable() -> bool:
    try:
        Session.objects.exists()
    except DatabaseError:
        return False
    finally:
        connections.close_all()
    return True


def _is_empty(world: Installation) -> bool:
    """True if nothing was ever recorded here: no session in the database, no blob, no log."""
    if world.blobs.present() and next(world.blobs.names(), None):
        return False
    if (world.ledger_root / "checkpoint").exists():
        return False
    try:
        return not Session.objects.exists()
    except DatabaseError as error:
        return "no such table" in str(error) or "unable to open" in str(error)
    finally:
        connections.close_all()
