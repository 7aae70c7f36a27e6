"""A backup lies somewhere else than what it backs up."""

from collections.abc import Sequence
from pathlib import Path

from lucid_sessions.blobs import FileBlobs, S3Blobs, Where
from lucid_sessions.durable import blaming
from lucid_sessions.errors import Refused
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
