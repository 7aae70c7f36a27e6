"""Logs for tests: real directories, real keys, records that differ."""

from pathlib import Path

from lucid_sessions.archive import LogKey, canonical_json
from lucid_sessions.ledger import Log

KEY = LogKey.from_private("lucid.example/sessions-log", bytes(range(32)))


def sealer(place: Path) -> Log:
    """The sealer's view of the log at place/ledger, pinned by place/sealer/pin."""
    return Log(place / "ledger", vkey=KEY.vkey, key=KEY, pin=place / "sealer" / "pin")


def reader(place: Path) -> Log:
    """Anyone's view of the same log."""
    return Log(place / "ledger", vkey=KEY.vkey)


def records(begin: int, end: int, *, kind: str = "batch") -> list[bytes]:
    """The records with these indices."""
    return [canonical_json({"kind": kind, "index": index}) for index in range(begin, end)]
