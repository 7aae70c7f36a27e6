"""Blobs that a backup could not have: named each time; those of chunks in quarantine are known already."""

from collections.abc import Collection, Mapping

from lucid_sessions.recordings.lifecycle import State
from lucid_sessions.recordings.models import Chunk

# So many are named; where more are lost, a list of them helps nobody.
MOST = 1000


def missing(names: Collection[str]) -> tuple[list[str], int]:
    """A line for each that a chunk names and nobody has, and how many are known; of shredded ones none."""
    rows = list(Chunk.objects.filter(blob__in=sorted(names)[:MOST]).exclude(state=State.EXPIRED))
    lines = [f"blob {row.blob} of {row} (session {row.session_id}) is missing from the store" for row in rows]
    return lines, sum(row.quarantined_at is not None for row in rows)


def rotten(found: Mapping[str, str]) -> tuple[list[str], int]:
    """A line for each blob that is not what its name says, and how many are known; of shredded ones none."""
    rows = Chunk.objects.filter(blob__in=sorted(found)[:MOST])
    alive = dict(rows.exclude(state=State.EXPIRED).order_by().values_list("blob", "quarantined_at"))
    gone = set(rows.filter(state=State.EXPIRED).order_by().values_list("blob", flat=True)) - alive.keys()
    lines = [line for name, line in found.items() if name not in gone]
    return lines, sum(since is not None for since in alive.values())
