"""8 MiB chunks through the chain, a plain loop and restic, by turns, so that noise hits all of them."""

from collections.abc import Iterator
from statistics import median

from . import feed, rivals
from .bench import Bench
from .figures import MEGA, Figure
from .home import running
from .throughput import TWO_FUSED

CHAIN = "the chain, fused, a worker a core"

LOOPS = {
    2: "plain loop of the chain's primitives, one thread",
    1: "the same loop without the digest of the content",
}


def measure(bench: Bench) -> Iterator[Figure]:
    """MB/s of each (median of the rounds), and the chain against half of each loop and all of restic."""
    chain, restic = [], []
    loops: dict[int, list[float]] = {digests: [] for digests in LOOPS}
    with running(TWO_FUSED, home=bench.home):
        feed.seconds_until(feed.stored, feed.file(bench.large, count=2))
        for turn in range(2 if bench.quick else 5):
            chain.append(_through_the_chain(bench))
            for digests, found in loops.items():
                target = bench.home / f"loop-{digests}-{turn}"
                found.append(rivals.plain_loop(bench.large, target, digests=digests))
            restic.append(rivals.restic(bench.large, bench.home / f"restic-{turn}"))
    size = sum(path.stat().st_size for path in bench.large) / MEGA
    rate, rates = size / median(chain), _rates(size, chain)
    for digests, name in LOOPS.items():
        yield Figure(name, _rates(size, loops[digests]))
        half = size / median(loops[digests]) / 2
        yield Figure(CHAIN, rates, f">= {half:.0f} MB/s, half of that", met=rate >= half)
    for name, seconds in _restic([one for one in restic if one]).items():
        yield Figure(name, _rates(size, seconds))
        yield Figure(
            CHAIN, rates, f"> {size / median(seconds):.0f} MB/s", met=median(chain) < median(seconds)
        )


def _restic(found: list[rivals.Restic]) -> dict[str, list[float]]:
    """Seconds of each round, by what is counted; nothing without restic (Debian package restic)."""
    if not found:
        return {}
    return {
        "restic backup, the whole command": [one.backup for one in found],
        "restic backup, without its start-up": [one.backup - one.opening for one in found],
    }


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
