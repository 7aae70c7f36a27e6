"""`python -m tests.faults [--full|--ci] [--only N] [--seed S] [--most N]`: the fault matrix as a table.

Each row runs as its own pytest process, on SQLite, or on a real MongoDB where the row is about it. The table
goes to standard output and, for a run of the whole matrix, between the marks in docs/reliability.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
SUMS = ("trials", "lost", "duplicated", "undetected")
# Row by row: the file that holds it, and the database that it is run on.
ROWS: dict[int, list[tuple[str, str]]] = {
    1: [("test_kills.py", "sqlite")],
    2: [("test_load.py", "sqlite")],
    3: [("test_power.py", "sqlite"), ("test_lost_writes.py", "sqlite")],
    4: [("test_load.py", "sqlite")],
    5: [("test_load.py", "sqlite"), ("test_mongodb.py", "mongodb")],
    6: [("test_disks.py", "sqlite")],
    7: [("test_disks.py", "sqlite"), ("test_failing_calls.py", "sqlite")],
    8: [("test_disks.py", "sqlite")],
    9: [("test_clocks.py", "sqlite")],
    10: [("test_poison.py", "sqlite"), ("test_messages.py", "sqlite"), ("test_bombs.py", "sqlite")],
    11: [("test_messages.py", "sqlite")],
    12: [("test_retention.py", "sqlite"), ("test_retention.py", "mongodb")],
    13: [("test_recorders.py", "sqlite")],
    14: [("test_sealers.py", "sqlite")],
    15: [("test_retention.py", "sqlite"), ("test_retention.py", "mongodb")],
}


def main(arguments: list[str]) -> int:
    """0 when no row found anything."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="lucid-faults-") as home:
        results = options.results or Path(home) / "results"
        results.touch()
        env = os.environ | {
            "LUCID_FAULTS": "full" if options.full else "ci",
            "LUCID_FAULTS_SEED": str(options.seed),
            "LUCID_FAULTS_RESULTS": str(results),
            "LUCID_FAULTS_MOST": str(options.most),
        }
        # Hours of trials might fill the memory: they lie on the disk.
        where = ["--basetemp", f"{home}/tests"] if options.full else []
        databases = ("mongodb",) if options.mongodb_only else ("sqlite", "mongodb")
        wanted = [] if options.publish else options.only or ROWS
        red = [row for row in wanted if not _run(row, env, databases=databases, where=where)]
        table = _table(_read(results))
    print(table)
    if options.publish or (options.full and not options.only):
        _publish(table)
    if red:
        print(f"RED: rows {', '.join(map(str, red))} (seed {options.seed})", file=sys.stderr)
    return 1 if red else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="all trials; an hour and more")
    size.add_argument("--ci", action="store_true", help="the trials that run in make test (the default)")
    parser.add_argument("--only", type=int, action="append", choices=list(ROWS), help="this row (repeatable)")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--most", type=int, default=10_000, help="at most so many trials of one kind")
    parser.add_argument(
        "--results", type=Path, help="keep results in this file, beside those of earlier runs"
    )
    parser.add_argument("--publish", action="store_true", help="run nothing: --results into the page's table")
    parser.add_argument("--mongodb-only", action="store_true", help="only what runs on MongoDB")
    return parser.parse_args(arguments)


def _run(row: int, env: dict[str, str], *, databases: tuple[str, ...], where: list[str]) -> bool:
    """True when every test of the row passed, and there was one."""
    green = True
    for file, database in ROWS[row]:
        if database not in databases or not (ROOT / "tests" / "faults" / file).exists():
            continue
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.faults.rows", f"tests/faults/{file}"]
        command += ["--timeout", "7200", "--fault-row", str(row), *where]
        if database == "mongodb":
            command = [sys.executable, "-m", "tests.servers", "mongod", "--", *command]
        print(f"row {row}: {file} on {database}", file=sys.stderr, flush=True)
        code = subprocess.run(command, cwd=ROOT, env=env, stdout=sys.stderr, check=False).returncode
        green = green and code in (0, 5)
    return green


def _read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()]


def _table(results: Iterable[dict[str, Any]]) -> str:
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}.",
        "",
        "| # | fault | run | trials | lost | duplicated | undetected | recovery p50 s | p99 s "
        "| seeds | load | code |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (row, fault, how), runs in sorted(_together(results).items()):
        times = sorted(time for run in runs for time in run["recoveries"])
        cells = [row, fault, how, *(sum(run[name] for run in runs) for name in SUMS)]
        cells += [_at(times, 0.5), _at(times, 0.99)] if times else ["-", "-"]
        cells.append(", ".join(sorted({str(run["seed"]) for run in runs})))
        cells.append(f"{max(run['load'] for run in runs):.0f}")
        cells.append(", ".join(sorted({run["commit"] for run in runs})))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _together(results: Iterable[dict[str, Any]]) -> dict[tuple[int, str, str], list[dict[str, Any]]]:
    """Several runs of one trial count as one; those that had the machine to themselves stand apart."""
    runs: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for one in results:
        how = ("full" if one["full"] else "CI") + (", alone" if one.get("alone") else "")
        runs.setdefault((one["row"], one["fault"], how), []).append(one)
    return runs


def _at(times: list[float], share: float) -> str:
    return f"{times[min(len(times) - 1, int(len(times) * share))]:.1f}"


def _machine() -> str:
    name = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next(
        (int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0
    )
    return f"{name}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _publish(table: str) -> None:
    text = PAGE.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
