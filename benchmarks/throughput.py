"""Chunks a minute through real workers, from the hint to the signed checkpoint."""

from collections.abc import Iterator, Sequence

from lucid_sessions.recordings.lifecycle import OTHER_QUEUES, QUEUES, STAGES

from . import feed
from .bench import Bench
from .figures import Figure, at_least
from .home import Worker, running

FUSED = (Worker("fused", QUEUES),)
TWO_FUSED = (Worker("fused-1", QUEUES, threads=4), Worker("fused-2", QUEUES, threads=4))
# The sealer's worker serves the reconciler too, as pipeline-manager does.
APART = tuple(
    Worker(stage, (stage, *OTHER_QUEUES) if stage == "anchor" else (stage,), threads=4) for stage in STAGES
)


def measure(bench: Bench) -> Iterator[Figure]:
    """Fused and unfused, 64 KiB chunks."""
    fused, apart = (300, 100) if bench.quick else (1500, 400)
    rate, filing = _rate(bench, FUSED, count=fused)
    yield at_least(f"fused, one worker of 8 threads, {fused} chunks", rate, target=3000, unit="chunks/min")
    yield Figure("filing them (rows from the spool, one process)", f"{filing:,.0f} chunks/min")
    rate, _ = _rate(bench, TWO_FUSED, count=fused)
    yield at_least(f"fused, two workers of 4 threads, {fused} chunks", rate, target=3000, unit="chunks/min")
    rate, _ = _rate(bench, APART, count=apart, fuse="none")
    yield at_least(f"unfused, a worker for each stage, {apart} chunks", rate, target=1000, unit="chunks/min")


def _rate(
    bench: Bench, workers: Sequence[Worker], *, count: int, fuse: str = "compress,encrypt,store"
) -> tuple[float, float]:
    """Chunks a minute through the chain, and into the database."""
    with running(workers, home=bench.home, fuse=fuse):
        feed.seconds_until(feed.anchored, feed.file(bench.small, count=len(workers) * 8))
        filed = feed.file(bench.small, count=count)
        seconds = feed.seconds_until(feed.anchored, filed)
    feed.tidy()
    return count / seconds * 60, count / filed.filing_seconds * 60
