"""A backup lies somewhere else than what it backs up, and where the last one was made is that one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lucid_sessions.blobs import FileBlobs, S3Blobs, Where
from lucid_sessions.durable import blaming
from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.recordings.installation import Installation


def require_apart(world: Installation, places: Sequence[Path | Where]) -> None:
    """Refused when a backup would lie in what is backed up, what is backed up in it, or in no directory."""
    _require_other_buckets(world, [place for place in places if isinstance(place, Where)])
    ours = [world.spool_root, world.ledger_root, world.keys_root]
    ours += [layer.root for layer in world.layers if isinstance(layer, FileBlobs)]
    for place in [place for place in places if isinstance(place, Path)]:
        _require_directory(place)
        for what in ours:
            one, other = place.resolve(), what.resolve()
            if one == other or one.is_relative_to(other) or other.is_relative_to(one):
                raise Refused(
                    f"{place} and {what} lie one in the other: a backup inside what it backs up is none. "
                    "Name a directory of its own, on another disk if there is one"
                )


def require_mounted(places: Mapping[str, Path | Where | None], last: Mapping[str, Any]) -> None:
    """Retryable when nothing is left where the last backup was made: a disk that is not mounted looks so.

    Begun anew there, all of the archive, or the keys, would come to lie on the disk of the mount point.
    """
    for what, place in places.items():
        if isinstance(place, Path) and str(place) == last.get(what):
            with blaming("look at", place):
                if not place.is_dir() or next(place.iterdir(), None) is None:
                    raise Retryable(
                        f"{place} is empty, though snapshot {last.get('snapshot')} was made there: "
                        "mount that disk; nothing was backed up. "
                        "If it is a new one, say so: manage.py backup --anew"
                    )


def _require_directory(place: Path) -> None:
    with blaming("look at", place):
        there = next(one for one in (place, *place.parents) if one.exists())
        if not there.is_dir():
            raise Refused(f"{there} is a file: name a directory")


def _require_other_buckets(world: Installation, places: Sequence[Where]) -> None:
    for layer in world.layers:
        if not isinstance(layer, S3Blobs):
            continue
        what = layer.bucket.where
        for place in places:
            within = place.prefix.startswith(what.prefix) or what.prefix.startswith(place.prefix)
            if (place.bucket, place.endpoint) == (what.bucket, what.endpoint) and within:
                raise Refused(
                    f"{place} and {what} lie one in the other: a backup inside what it backs up is none. "
                    "Name a bucket of its own, with credentials of its own (?profile=…)"
                )


def same_file_system(one: Path, other: Path) -> bool:
    """True when both lie on one."""
    with blaming("look at", other):
        return one.stat().st_dev == other.stat().st_dev
