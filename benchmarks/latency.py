"""How long it takes from a segment's rename in the spool to a signed checkpoint over its record."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lucid_sessions.recordings import intake
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.commands.recorder import Filing
from lucid_sessions.recordings.models import Checkpoint, Chunk, Session

from . import feed, segments
from .bench import Bench
from .figures import Figure, percentile
from .home import running
from .throughput import FUSED

# Not a whole second: the samples meet every phase of the sealer's second.
EVERY_SECONDS = 1.13
TARGET_SECONDS = 3.0


def measure(bench: Bench) -> Iterator[Figure]:
    """p50 and p95 with the recorder's own scanner, a segment of 64 KiB at a time."""
    count = 10 if bench.quick else 30
    session, committed = feed.new_session(), []
    with running(FUSED, home=bench.home), _filing() as filing:
        _warm_up(bench, filing)
        for counter in range(1, count + 1):
            content = bench.small[counter % len(bench.small)].read_bytes()
            segments.commit(installation().spool, session.pk, counter=counter, source=content)
            committed.append(datetime.now(UTC))
            filing.soon(session.pk, 1)
            time.sleep(EVERY_SECONDS)
        feed.wait_until(feed.anchored, session)
    took = _latencies(session, committed)
    name = f"{count} chunks of 64 KiB, one in {EVERY_SECONDS} s"
    yield Figure(f"{name}: segment closed to anchored, p50", f"{percentile(took, 0.5):.2f} s")
    slow = percentile(took, 0.95)
    yield Figure(f"{name}: p95", f"{slow:.2f} s", f"< {TARGET_SECONDS:.0f} s", met=slow < TARGET_SECONDS)


@contextmanager
def _filing() -> Iterator[Filing]:
    """The recorder's own loop over the spool, in a thread of this otherwise idle process."""
    filing = Filing(intake.Intake(installation().spool))
    filing.start()
    try:
        yield filing
    finally:
        filing.finish()


def _warm_up(bench: Bench, filing: Filing) -> None:
    session = feed.new_session()
    for counter, source in enumerate(bench.small[:2], start=1):
        segments.commit(installation().spool, session.pk, counter=counter, source=source.read_bytes())
    filing.soon(session.pk, 1)
    feed.wait_until(lambda one: Chunk.objects.filter(session=one).count() == 2, session)
    feed.wait_until(feed.anchored, session)


def _latencies(session: Session, committed: list[datetime]) -> list[float]:
    """Seconds from each commit to the first checkpoint that covers the chunk's record."""
    checkpoints = list(Checkpoint.objects.order_by("size").values_list("size", "created_at"))
    records = Chunk.objects.filter(session=session).order_by("sequence").values_list("record", flat=True)
    signed = [next(at for size, at in checkpoints if size > (record or 0)) for record in records]
    return [(at - began).total_seconds() for at, began in zip(signed, committed, strict=True)]
