"""`python -m benchmarks.api`: the REST API under load, beside a view that does nothing, and its long lists.

wrk with 32 connections on loopback against granian with two workers, 10,000 sessions in the database. Client,
server and database share the machine, so each address is asked in turns with the bare view, and what the
server's processes burn for a request is given beside the rates. Then pages of a list over 1,000,000 chunks,
beside the same of one over 1,000. About four minutes.
MONGODB_URL names a MongoDB to measure on instead of SQLite: `python -m tests.servers mongod -- ...`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import figures, machine
from . import home as homes

SESSIONS = 10_000
CHUNKS = 500
CONNECTIONS = 32
WORKERS = 2
ROUNDS = 3
SCRIPT = """
wrk.method = "{method}"
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{body}]]
function done(summary, latency, requests)
  local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %f %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000, errors))
end
"""
NEW = json.dumps({"name": "bench", "source": {"kind": "synthetic"}})


@dataclass(frozen=True)
class Line:
    """One address under load."""

    name: str
    rate: float
    p50: float
    p95: float
    p99: float
    errors: int
    # Milliseconds of the server's processors for one request; then the bare view's, in the same turns.
    cpu: float
    bare_rate: float = 0.0
    bare_p95: float = 0.0
    bare_cpu: float = 0.0

    @property
    def share(self) -> float:
        """Its rate, as % of the bare view's."""
        return 100 * self.rate / self.bare_rate


def main(arguments: list[str]) -> int:
    """Print the tables; 0 whatever the figures are, since the machine decides them too."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="how long each turn takes")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each address; the median counts")
    parser.add_argument("--only", choices=("load", "long"), help="one of the two tables")
    asked = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        print("There is no wrk: install Debian's package `wrk`.", file=sys.stderr)
        return 2
    homes.KEPT += ("MONGODB_URL",)  # type: ignore[assignment]
    with homes.premises() as home, tempfile.TemporaryDirectory() as folder:
        import django

        django.setup()
        for what, which in [*machine.facts(home), ("database", _database())]:
            print(f"{what:12} {which}")
        if asked.only != "long":
            _under_load(Path(folder), seconds=asked.seconds, rounds=asked.rounds)
        if asked.only != "load":
            _long()
    return 0


def _under_load(folder: Path, *, seconds: int, rounds: int) -> None:
    user = _user()
    session = _furnish(user)
    with _server() as (url, server):
        asker = Asker(url, server, _token(user), folder, seconds, rounds)
        lines = [_in_turns(asker, name, path, body=body) for name, path, body in _addresses(session)]
    print(
        f"\n{SESSIONS} sessions, {CONNECTIONS} connections, {WORKERS} workers, {rounds} x {seconds} s each\n"
    )
    print(_table(lines), flush=True)
    print(f"\n{figures.table(_targets(lines))}", flush=True)


def _long() -> None:
    from . import long_lists

    user = _user()
    began = time.monotonic()
    long_lists.furnish(user)
    with _server() as (url, _):
        found = long_lists.figures(url, _token(user))
    print(f"\nPages of long lists, one at a time (the rows took {time.monotonic() - began:.0f} s)\n")
    print(figures.table(found), flush=True)


def _targets(lines: list[Line]) -> Iterator[figures.Figure]:
    """What was promised for these addresses, and whether it is kept."""
    known = {line.name: line for line in lines}
    for name, share in (("list of 20", 30), ("detail", 35)):
        line = known[name]
        yield figures.at_least(f"{name}, of the bare view", line.share, target=share, unit="%")
        yield figures.at_least(name, line.rate, target=1500, unit="/s")
    for name, most in (("list of 20", 30), ("detail", 30), ("create", 100)):
        yield figures.Figure(
            f"{name}, p95", f"{known[name].p95:.1f} ms", f"< {most} ms", met=known[name].p95 < most
        )


def _database() -> str:
    from django.db import connection

    if connection.vendor == "mongodb":
        return f"MongoDB {connection.database.client.server_info()['version']}"
    return "SQLite"


def _addresses(session: str) -> list[tuple[str, str, str]]:
    one = f"/api/v1/sessions/{session}"
    return [
        ("list of 20", "/api/v1/sessions?limit=20", ""),
        ("list of 50", "/api/v1/sessions?limit=50", ""),
        ("detail", one, ""),
        ("chunks, 50", f"{one}/chunks", ""),
        ("create", "/api/v1/sessions", NEW),
        ("health", "/health", ""),
    ]


def _user() -> Any:
    """Who asks; made when first needed."""
    from django.contrib.auth.models import Group

    from lucid_sessions.access.models import User

    user, _ = User.objects.get_or_create(username="bench", defaults={"password": "!"})
    user.groups.add(Group.objects.get(name="session_manager"))
    return user


def _token(user: Any) -> str:
    """An access token, for the next ten minutes."""
    from lucid_sessions.access import tokens

    return tokens.sign_in(user).access


def _furnish(user: Any) -> str:
    """Many sessions; the id of one that has chunks."""
    from lucid_sessions.recordings.models import Chunk, Session

    row = {"source": "synthetic://", "owner": user, "project": "payments", "tags": ["db", "deploy"]}
    rows = [Session(name=f"session {number}", **row) for number in range(SESSIONS)]
    Session.objects.bulk_create(rows, batch_size=500)
    session = rows[SESSIONS // 2]
    times: dict[str, Any] = {"epoch": 1, "start_us": 0, "end_us": 1, "timestamp_ms": 0, "spool": "0" * 8}
    Chunk.objects.bulk_create(
        Chunk(session=session, track="screen", sequence=1 << 32 | n, raw_length=65536, **times)
        for n in range(1, CHUNKS + 1)
    )
    return str(session.pk)


@contextmanager
def _server() -> Iterator[tuple[str, int]]:
    from lucid_sessions.operations import programs
    from lucid_sessions.operations.private_redis import free_port

    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", str(WORKERS), "--blocking-threads", str(programs.API_THREADS), "--no-ws"),
        *("--log-level", "error"),
        "benchmarks.api_site:application",
    ]
    server = subprocess.Popen(command, env={**os.environ, "LOG_LEVEL": "ERROR"})
    try:
        _wait(f"http://127.0.0.1:{port}/bare")
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait(30)


def _wait(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own server
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise SystemExit("The server did not start within a minute.")


@dataclass(frozen=True)
class Asker:
    """wrk, pointed at one server."""

    url: str
    server: int
    token: str
    folder: Path
    seconds: int
    rounds: int = ROUNDS

    def ask(self, name: str, path: str, body: str) -> Line:
        """One address under load for `seconds`."""
        script = self.folder / "ask.lua"
        script.write_text(SCRIPT.format(method="POST" if body else "GET", token=self.token, body=body))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self.seconds}s", "-s", str(script), self.url + path]
        before = _burnt(self.server)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        burnt = _burnt(self.server) - before
        found = re.search(r"RESULT (\S+) (\S+) (\S+) (\S+) (\d+)", done.stdout)
        if found is None:
            raise SystemExit(f"wrk said nothing that we know: {done.stdout}")
        rate, p50, p95, p99 = map(float, found.groups()[:4])
        cpu = 1000 * burnt / max(1.0, rate * self.seconds)
        return Line(name, rate, p50, p95, p99, int(found[5]), cpu)


def _in_turns(asker: Asker, name: str, path: str, *, body: str) -> Line:
    """The median round of the address, beside the median round of the bare view in the same turns."""
    bare, own = [], []
    for _ in range(asker.rounds):
        bare.append(asker.ask("bare", "/bare", ""))
        own.append(asker.ask(name, path, body))
    bare.sort(key=lambda line: line.rate)
    own.sort(key=lambda line: line.rate)
    middle, beside = own[len(own) // 2], bare[len(bare) // 2]
    return replace(middle, bare_rate=beside.rate, bare_p95=beside.p95, bare_cpu=beside.cpu)


def _burnt(server: int) -> float:
    """Seconds of processor that the server and its workers have used so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if server in (int(stat.parent.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _table(lines: list[Line]) -> str:
    heads = ("", "req/s", "bare's", "p50 ms", "p95 ms", "bare's", "p99 ms", "CPU ms", "bare's", "errors")
    rows = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for line in lines:
        times = f"{line.p50:.1f} | {line.p95:.1f} | {line.bare_p95:.1f} | {line.p99:.1f}"
        rows.append(
            f"| {line.name} | {line.rate:.0f} | {line.bare_rate:.0f} | {times} | {line.cpu:.2f} "
            f"| {line.bare_cpu:.2f} | {line.errors} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
