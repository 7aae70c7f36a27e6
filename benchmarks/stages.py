"""What each stage costs, chunk by chunk, on an otherwise idle chain."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import median

from lucid_sessions.recordings import sealing
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.lifecycle import STAGES, State
from lucid_sessions.recordings.models import Chunk, Session

from . import feed
from .bench import Bench
from .figures import MEGA, Figure
from .home import Worker, running

# Everything but the sealer, which is timed by itself.
WORKER = Worker("stages", ("capture", "compress", "encrypt", "store"), threads=1)


def measure(bench: Bench) -> Iterator[Figure]:
    """Median milliseconds and MB/s of each stage; the sealer alone and in a batch."""
    many = 64 if bench.quick else 512
    with running([WORKER], home=bench.home):
        for name, sources, count in (("64 KiB", bench.small, 24), ("8 MiB", bench.large, 12)):
            filed = feed.file(sources, count=count)
            for chunk in filed.chunks:
                alone = replace(filed, chunks=[chunk])
                feed.seconds_until(partial(_is_stored, chunk), alone)
            yield from _costs(name, filed)
            yield _seal(f"anchor, a round of {count} x {name}", count)
        for count in (1, many):
            feed.seconds_until(feed.stored, feed.file(bench.small, count=count))
            yield _seal(f"anchor, a round of {count} x 64 KiB", count)
    feed.tidy()


def _is_stored(chunk: Chunk, _session: Session) -> bool:
    return Chunk.objects.filter(pk=chunk.pk, state=State.STORED).exists()


def _costs(name: str, filed: feed.Filed) -> Iterator[Figure]:
    timings = list(Chunk.objects.filter(session=filed.session).values_list("timings", flat=True))
    size = filed.bytes / len(filed.chunks)
    whole = 0.0
    for stage in STAGES:
        if found := [one[stage] / 1000 for one in timings if stage in one]:
            whole += median(found)
            yield Figure(f"{stage}, {name}", _rate(median(found), size))
    yield Figure(f"four stages together, {name}", _rate(whole, size))


def _rate(milliseconds: float, size: float) -> str:
    return f"{milliseconds:.2f} ms, {size / MEGA / (milliseconds / 1000):,.0f} MB/s"


def _seal(what: str, count: int) -> Figure:
    began = time.perf_counter()
    sealing.seal(installation())
    took = (time.perf_counter() - began) * 1000
    return Figure(what, f"{took / count:.2f} ms a chunk ({took:.0f} ms a round)")
