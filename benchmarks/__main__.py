"""`python -m benchmarks [--quick] [--only NAME]`: measure the chain on this machine, print one table.

Everything it starts is its own, on loopback and in a temporary directory (TMPDIR says on which disk), and
is gone at the end. The whole run takes about four minutes, a quick one one and a half.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from lucid_sessions.operations.stack import stop_on_signals

from . import machine, segments
from .bench import Bench
from .figures import Figure, table
from .home import broker, complain, premises

MEASUREMENTS = {
    "stages": "Stage cost (median; one chunk at a time)",
    "throughput": "Chunks of 64 KiB a minute, from hint to signed checkpoint",
    "large": "Chunks of 8 MiB, until durably stored",
    "latency": "Latency at low load, from closed segment to signed checkpoint",
}


def main(arguments: list[str]) -> int:
    """Measure what was asked for; 0 even when a target is missed, since the machine decides that too."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer chunks and rounds: a rough picture")
    parser.add_argument("--only", choices=MEASUREMENTS, help="one measurement")
    asked = parser.parse_args(arguments)
    stop_on_signals()
    with premises() as home:
        import django

        django.setup()
        for what, which in machine.facts(home):
            print(f"{what:12} {which}")
        with broker(home):
            for title, figures in _measured(
                home, [asked.only] if asked.only else [*MEASUREMENTS], asked.quick
            ):
                print(f"\n{title}\n\n{table(figures)}", flush=True)
    return 0


def _measured(home: Path, names: list[str], quick: bool) -> Iterator[tuple[str, list[Figure]]]:
    complain("making segments ...")
    bench = Bench(
        home=home,
        small=segments.make(home / "media", size=segments.SMALL, count=8),
        large=segments.make(home / "media", size=segments.LARGE, count=4 if quick else 32),
        quick=quick,
    )
    for name in names:
        complain(f"measuring {name} ...")
        # Only now: what they import needs the settings, and those the home.
        measure = importlib.import_module(f"benchmarks.{name}").measure
        yield MEASUREMENTS[name], list(measure(bench))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
