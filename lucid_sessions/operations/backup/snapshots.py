"""What is read of finished snapshots, each of them believed only as far as it is signed; and their end."""

import hashlib
from datetime import datetime
from typing import Any

import structlog

from lucid_sessions.blobs import Blobs
from lucid_sessions.durable import blaming
from lucid_sessions.errors import Refused, Tampered

from .bulk import digest_of
from .retaining import Policy
from .shelf import Shelf

log = structlog.get_logger(__name__)

STRAY_SECONDS = 3600.0


def read_list(shelf: Shelf, snapshot: str) -> dict[str, int]:
    """The blobs of a snapshot with their lengths; Tampered unless the list is what the manifest says."""
    path = shelf.path(snapshot) / "blobs.txt"
    with blaming("read", path):
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            raise Tampered(f"{path} is missing: this backup is not whole") from None
    if hashlib.sha256(text).hexdigest() != shelf.manifest(snapshot)["files"]["blobs.txt"]["sha256"]:
        raise Tampered(f"{path} is not what was signed: it was changed or cut off")
    pairs = (line.split(" ") for line in text.decode().splitlines())
    return {name: int(length) for name, length in pairs}


def check_files(shelf: Shelf, snapshot: str, manifest: dict[str, Any]) -> None:
    """Tampered unless every file of the snapshot is there with the bytes that were signed."""
    for name, facts in manifest["files"].items():
        path = shelf.path(snapshot) / name
        try:
            found = digest_of(path, from_disk=True)
        except FileNotFoundError:
            raise Tampered(f"{path} is missing: this backup is not whole") from None
        if found != (facts["sha256"], facts["length"]):
            raise Tampered(
                f"{path} is not what was signed ({found[1]} bytes of {facts['length']}): it was changed "
                "or cut off. Restore an earlier snapshot with --snapshot"
            )


def prune(shelf: Shelf, policy: Policy, *, now: datetime) -> list[str]:
    """The snapshots that were removed by the policy, with the blobs that no other one lists.

    What dead processes left unfinished among the blobs goes with them.
    """
    gone = sorted(set(shelf.snapshots) - policy.kept(shelf.snapshots, now=now))
    for snapshot in gone:
        shelf.remove(snapshot)
    if gone:
        pool = shelf.pool
        for name in _unlisted(shelf, pool):
            pool.delete(name)
        pool.sweep(older_than_seconds=STRAY_SECONDS)
    return gone


def _unlisted(shelf: Shelf, pool: Blobs) -> set[str]:
    """The blobs that no snapshot lists; none while what one lists cannot be told."""
    listed: set[str] = set()
    for snapshot in shelf.snapshots:
        try:
            listed |= read_list(shelf, snapshot).keys()
        except (Refused, Tampered) as error:
            log.warning("no blobs are pruned", reason=str(error))
            return set()
    return set(pool.names()) - listed
