"""Blobs from any store to any other, each verified on both sides. `bulk` is the faster way between disks."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lucid_sessions.blobs import Blobs, FileBlobs, carry
from lucid_sessions.errors import Tampered
from lucid_sessions.recordings import failpoints

from .bulk import BATCH, Bulk, Moved, Way, batches

# Requests wait for the network, not for a processor.
THREADS = 8


@dataclass(frozen=True)
class Carrier:
    """Copies blobs from `source` to `target`. Done again, it reads nothing that is there and right."""

    source: Blobs
    target: Blobs

    def move(self, names: Iterable[str], *, tell: Callable[[int], None] = lambda _: None) -> Moved:
        """All of these blobs are in the target, verified; those that could not be had are in `bad`."""
        moved = Moved()
        with ThreadPoolExecutor(THREADS) as pool:
            for batch in batches(names, size=BATCH // 10):
                for name, found in zip(batch, pool.map(self._carry, batch), strict=True):
                    if isinstance(found, str):
                        moved.bad[name] = found
                        continue
                    length, fresh = found
                    moved.lengths[name] = length
                    moved.written += fresh
                    moved.written_bytes += length if fresh else 0
                failpoints.reach("bulk.batch")
                tell(len(batch))
        return moved

    def _carry(self, name: str) -> tuple[int, bool] | str:
        """Its length and whether it was written now; or why it cannot be had."""
        try:
            return carry(name, source=self.source, target=self.target)
        except Tampered as error:
            return str(error)


def mover(source: Blobs, target: Blobs, way: Way) -> Bulk | Carrier:
    """Whoever moves blobs between these two fastest."""
    if isinstance(source, FileBlobs) and isinstance(target, FileBlobs):
        return Bulk(source, target, way)
    return Carrier(source, target)
