"""`python -m tests.api.live.contract [-n CASES] [--part K/N] [...]`: schemathesis, all checks, a live API.

A few operations at a time, so that what was found so far is seen, and a run can be divided: `--part 2/4` is
the second quarter of the operations. Requests that follow one another's links come last, with the last part.
What it does not know goes to schemathesis. With MONGODB_URL the API runs on that MongoDB.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.operations.processes import ROOT
from tests.waiting import PATIENCE

from . import Live, live_api

HERE = Path(__file__).parent
CASES = 500
AT_ONCE = 6
ALONE = "examples,coverage,fuzzing"
# Which hosts are out of bounds is the matter of settings, not of the document.
ANY = "0.0.0.0/0,::/0"
# Whoever tries so many passwords is locked out, and so would be the administrator who asks all the rest.
OPEN = {"LUCID_TARGET_ALLOW": ANY, "LUCID_WEBHOOK_ALLOW": ANY, "LUCID_SIGN_IN_FAILURES": "1000000"}
SAID = re.compile(r"(\d+) generated, (\d+) passed")


@dataclass(frozen=True)
class Found:
    """What one run of schemathesis came to."""

    cases: int
    passed: int
    status: int


def main(arguments: Sequence[str]) -> int:
    """0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.api.live.contract", description=__doc__)
    parser.add_argument("-n", "--cases", type=int, default=CASES, help="for each operation and phase")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="of the operations")
    parser.add_argument("--only", default="", help="operations whose id matches this expression")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="operations in one run of schemathesis")
    parser.add_argument("--phases", default=f"{ALONE},stateful")
    asked, more = parser.parse_known_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="lucid-contract-") as folder,
        live_api(Path(folder) / "home", **OPEN) as live,
    ):
        own = [one for one in _operations(live) if re.search(asked.only, one)]
        mine = own[
            len(own) * (asked.part[0] - 1) // asked.part[1] : len(own) * asked.part[0] // asked.part[1]
        ]
        phases = asked.phases.split(",")
        alone = ",".join(phase for phase in phases if phase != "stateful")
        groups = [mine[first : first + asked.at_once] for first in range(0, len(mine), asked.at_once)]
        runs = [(group, alone) for group in groups if alone]
        if "stateful" in phases and asked.part[0] == asked.part[1]:
            runs.append((own if asked.only else [], "stateful"))
        found = [
            _run(live, folder, group, ["--phases", phase, "-n", str(asked.cases), *more])
            for group, phase in runs
        ]
    print(
        f"{sum(one.cases for one in found)} generated, {sum(one.passed for one in found)} passed", flush=True
    )
    return max(one.status for one in found)


def _part(text: str) -> tuple[int, int]:
    place, _, parts = text.partition("/")
    if not 1 <= int(place) <= int(parts):
        raise ValueError(text)
    return int(place), int(parts)


def _operations(live: Live) -> list[str]:
    """The ids of all operations, in the document's order."""
    asked = urllib.request.Request(f"{live.url}/api/v1/schema/", headers={"Accept": "application/json"})  # noqa: S310 - our own
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310
        document = json.load(answer)
    found = [
        one for methods in document["paths"].values() for one in methods.values() if isinstance(one, dict)
    ]
    return [one["operationId"] for one in found]


def _run(live: Live, folder: str, operations: Sequence[str], options: Sequence[str]) -> Found:
    """schemathesis for these operations, or for all; what it found is printed."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]
    command += ["run", f"{live.url}/api/v1/schema/", "--checks", "all", "--continue-on-failure", "--no-color"]
    command += [part for one in operations for part in ("--include-operation-id", one)]
    told = {"url": live.url, "password": live.password, "ids": live.ids}
    given = {"LUCID_LIVE": json.dumps(told), "SCHEMATHESIS_HOOKS": "tests.api.live.hooks"}
    environment = {**os.environ, **given, "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    done = subprocess.run(
        [*command, *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = SAID.search(done.stdout)
    cases, passed = (int(said[1]), int(said[2])) if said else (0, 0)
    if done.returncode or cases != passed or not said:
        print(done.stdout)
    name = f"{operations[0]} to {operations[-1]}" if operations else "all operations"
    seconds = time.monotonic() - began
    print(f"{cases:6} generated, {passed:6} passed, {seconds:4.0f} s: {name}", flush=True)
    return Found(cases, passed, done.returncode or int(cases != passed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
