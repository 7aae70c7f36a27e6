"""8 MiB chunks through the chain, a plain loop and restic, by turns, so that noise hits all of them."""

from collections.abc import Iterator
from statistics import median

from . import feed, rivals
from .bench import Bench
from .figures import MEGA, Figure
from .home import running
from .throughput import TWO_FUSED


def measure(bench: Bench) -> Iterator[Figure]:
    """MB/s of each (median of the rounds), and the two promises."""
    chain, loop, restic = [], [], []
    with running(TWO_FUSED, home=bench.home):
        feed.seconds_until(feed.stored, feed.file(bench.large, count=2))
        for turn in range(2 if bench.quick else 5):
            chain.append(_through_the_chain(bench))
            loop.append(rivals.plain_loop(bench.large, bench.home / f"loop-{turn}"))
            restic.append(rivals.restic(bench.large, bench.home / f"restic-{turn}"))
    size = sum(path.stat().st_size for path in bench.large) / MEGA
    yield Figure("plain loop of the primitives, one thread", _rates(size, loop))
    yield from _restic(size, [one for one in restic if one])
    found, half = size / median(chain), size / median(loop) / 2
    target = f">= {half:.0f} MB/s, half of the loop"
    name = "the chain, fused, a worker a core"
    yield Figure(name, _rates(size, chain), target, met=found >= half)
    if whole := [one.backup for one in restic if one]:
        bar = size / median(whole)
        yield Figure(name, _rates(size, chain), f"> {bar:.0f} MB/s, restic backup", met=found > bar)


def _restic(size: float, found: list[rivals.Restic]) -> Iterator[Figure]:
    if not found:
        yield Figure("restic backup", "restic is not installed (Debian package restic)")
        return
    yield Figure("restic backup, the whole command", _rates(size, [one.backup for one in found]))
    yield Figure("restic backup, without its start-up", _rates(size, [o.backup - o.opening for o in found]))


def _rates(size: float, seconds: list[float]) -> str:
    """The median rate, and the best."""
    return f"{size / median(seconds):.0f} MB/s (best {size / min(seconds):.0f})"


def _through_the_chain(bench: Bench) -> float:
    """Seconds from the hint until all are durably stored."""
    filed = feed.file(bench.large, count=len(bench.large))
    seconds = feed.seconds_until(feed.stored, filed)
    feed.seconds_until(feed.anchored, filed)
    feed.tidy()
    return seconds
