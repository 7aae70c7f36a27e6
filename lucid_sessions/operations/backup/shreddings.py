"""What was shredded must not come back: it is told by everything that can still be read."""

import json
from contextlib import suppress
from uuid import UUID

from django.db import DatabaseError, connections

from lucid_sessions.errors import LucidError, Tampered
from lucid_sessions.ledger import Log
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.models import Session

from . import mirror
from .making import GONE
from .recovery import Shredded
from .shelf import Shelf


def found(world: Installation, shelf: Shelf, log: Log) -> tuple[Shredded, list[str]]:
    """Every session that was shredded, or was about to be; and which manifests could not be asked."""
    begun, problems = _by_manifests(shelf)
    recorded: set[UUID] = set()
    for known in (log, *([world.log()] if world.keys.exists else [])):
        try:
            recorded |= mirror.sessions_shredded(known)
        except LucidError:
            continue  # the installation's own log is damaged: the backup's speaks
    with suppress(DatabaseError):  # no database, or a damaged one
        begun |= set(Session.objects.filter(status__in=GONE).values_list("pk", flat=True))
    connections.close_all()
    return Shredded(frozenset(recorded), frozenset(begun - recorded)), problems


def named(log: Log, gone: Shredded) -> tuple[set[str], set[str]]:
    """The blobs that the log names: those of sessions that stay, and those of sessions that are gone."""
    stay: set[str] = set()
    go: set[str] = set()
    sessions = {str(one) for one in gone.all}
    for facts in mirror.records(log, kind="batch"):
        for leaf in json.loads(log.read_body(str(facts["body"])))["leaves"]:
            (go if leaf["session"] in sessions else stay).add(leaf["blob"])
    return stay, go


def _by_manifests(shelf: Shelf) -> tuple[set[UUID], list[str]]:
    begun: set[UUID] = set()
    problems = []
    for snapshot in shelf.snapshots:
        try:
            begun |= {UUID(one) for one in shelf.manifest(snapshot)["shredded"]}
        except Tampered as error:
            problems.append(f"what it says of shredded sessions is unknown: {error}")
    return begun, problems
