"""`python -m benchmarks.lifecycle [--blobs N] [--size BYTES]`: backup and restore beside restic and borg.

One store of blobs, three programs, the same disk, one run: first backup, a second one with nothing new,
every byte read again, restore. Ours takes keys, log and database along, with a row for each blob, and
reads back all that it writes; restic and borg get the directory of blobs alone. All start a process for each
step; beside the time of the clock stands the processors' time, which other work on the machine changes less.
500 blobs of 200 kB by default; `--blobs 10000 --size 215000` is 2 GiB. `--many 100000` only measures a backup
with nothing new over so many small blobs.
"""

import argparse
import os
import resource
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import machine
from .figures import MEGA, Figure, table
from .home import complain, premises

STEPS = ("backup", "backup, nothing new", "read everything again", "restore")
# Seconds by the clock, and by the processors.
Steps = dict[str, tuple[float, float]]
NOTHING_NEW_SECONDS = 10.0


def main(arguments: list[str]) -> int:
    """Measure and print the table; 1 if a step of ours did not succeed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycle", description=__doc__)
    parser.add_argument("--blobs", type=int, default=500)
    parser.add_argument("--size", type=int, default=200_000, help="bytes of each blob")
    parser.add_argument("--many", type=int, default=0, help="nothing new over so many blobs, and no more")
    parser.add_argument("--only-ours", action="store_true", help="without restic and borg")
    asked = parser.parse_args(arguments)
    if asked.many:
        return nothing_new(asked.many)
    with premises() as home:
        complain(f"writing {asked.blobs} blobs of {asked.size} bytes ...")
        fill(home / "blobs", count=asked.blobs, size=asked.size)
        for what, which in machine.facts(home):
            print(f"{what:12} {which}")
        print(f"{'borg':12} {_version('borg', '--version')}")
        took = {"ours": ours(home)}
        if not asked.only_ours:
            took |= {"restic": restic(home), "borg": borg(home)}
        total = asked.blobs * asked.size
        print(f"\n{asked.blobs} blobs, {total / MEGA:.0f} MB\n\n{table(figures(took, total, asked.blobs))}")
    return 0


def nothing_new(count: int) -> int:
    """Print what a backup costs that finds nothing new among so many small blobs; 1 if more than 10 s."""
    with premises() as home:
        complain(f"writing {count} small blobs ...")
        fill(home / "blobs", count=count, size=400)
        facts = machine.facts(home)
        took = ours(home, only=STEPS[:2])
    for what, which in facts:
        print(f"{what:12} {which}")
    seconds, busy = took[STEPS[1]]
    value = f"{seconds:.2f} s ({busy:.2f} s of the processors)"
    met = seconds < NOTHING_NEW_SECONDS
    target = f"< {NOTHING_NEW_SECONDS:.0f} s"
    print(f"\n{table([Figure(f'nothing new over {count:,} blobs', value, target, met=met)])}")
    return 0 if met else 1


def fill(root: Path, *, count: int, size: int) -> None:
    """A store of that many random blobs (encrypted bytes neither compress nor repeat), each with its row."""
    import django

    django.setup()
    from lucid_sessions.blobs import blob_name
    from lucid_sessions.recordings import sessions
    from lucid_sessions.recordings.models import Chunk

    session, rows = sessions.create("synthetic://640x480", name="benchmark"), []
    for number in range(count):
        content = secrets.token_bytes(size)
        name = blob_name(content)
        path = root / name[:2] / name[2:4] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        place = {"track": "screen", "sequence": 1 << 32 | number + 1, "epoch": 1, "timestamp_ms": number}
        times = {"start_us": number * 1000, "end_us": (number + 1) * 1000, "raw_length": size}
        facts = {"state": "stored", "blob": name, "blob_length": size, "leaf": secrets.token_hex(32)}
        rows.append(Chunk(session=session, spool="", **place, **times, **facts))
    Chunk.objects.bulk_create(rows, batch_size=500)
    os.sync()


def ours(home: Path, *, only: tuple[str, ...] = STEPS) -> Steps:
    """Seconds of each step of ours; the backup copies, as it does onto another disk."""
    shelf, fresh = home.with_name(f"{home.name}-shelf"), home.with_name(f"{home.name}-fresh")

    def manage(*command: object, env: dict[str, str] | None = None) -> None:
        _run([sys.executable, "manage.py", *command], env=env)

    try:
        return _steps(
            only,
            backup=lambda: manage("backup", shelf, "--copy"),
            again=lambda: manage("backup", shelf, "--copy"),
            check=lambda: manage("backup", shelf, "--check"),
            restore=lambda: manage("restore", shelf, env={"LUCID_HOME": str(fresh)}),
        )
    finally:
        shutil.rmtree(shelf, ignore_errors=True)
        shutil.rmtree(fresh, ignore_errors=True)


def restic(home: Path) -> Steps:
    """Seconds of each step of restic; empty when it is not installed."""
    if shutil.which("restic") is None:
        return {}
    place = home.with_name(f"{home.name}-restic")
    env = {
        "RESTIC_REPOSITORY": str(place / "repository"),
        "RESTIC_CACHE_DIR": str(place / "cache"),
        "RESTIC_PASSWORD": secrets.token_urlsafe(24),
    }
    place.mkdir()
    try:
        _run(["restic", "--quiet", "init"], env=env)
        return _steps(
            backup=lambda: _run(["restic", "--quiet", "backup", str(home / "blobs")], env=env),
            again=lambda: _run(["restic", "--quiet", "backup", str(home / "blobs")], env=env),
            check=lambda: _run(["restic", "--quiet", "check", "--read-data"], env=env),
            restore=lambda: _run(
                ["restic", "--quiet", "restore", "latest", "--target", str(place / "back")], env=env
            ),
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def borg(home: Path) -> Steps:
    """Seconds of each step of borg; empty when it is not installed."""
    if shutil.which("borg") is None:
        return {}
    place = home.with_name(f"{home.name}-borg")
    env = {
        "BORG_REPO": str(place / "repository"),
        "BORG_BASE_DIR": str(place),
        "BORG_PASSPHRASE": secrets.token_urlsafe(24),
    }
    (place / "back").mkdir(parents=True)
    try:
        _run(["borg", "init", "--encryption", "repokey-blake2"], env=env)
        return _steps(
            backup=lambda: _run(["borg", "create", "::first", str(home / "blobs")], env=env),
            again=lambda: _run(["borg", "create", "::second", str(home / "blobs")], env=env),
            check=lambda: _run(["borg", "check", "--verify-data"], env=env),
            restore=lambda: _run(["borg", "extract", "::first"], env=env, cwd=place / "back"),
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _steps(only: tuple[str, ...] = STEPS, **steps: Callable[[], None]) -> Steps:
    took = {}
    for name, step in zip(STEPS, steps.values(), strict=True):
        if name not in only:
            continue
        complain(f"{name} ...")
        # What the step before left to be written must not count for this one.
        os.sync()
        began, busy = time.perf_counter(), _busy()
        step()
        took[name] = time.perf_counter() - began, _busy() - busy
    return took


def _busy() -> float:
    """Seconds of the processors that the children of this process have had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(took: dict[str, Steps], total: int, blobs: int) -> Iterator[Figure]:
    """Each step of each program; ours is to be the fastest."""
    for name in STEPS:
        rivals = [steps[name][0] for program, steps in took.items() if program != "ours" and steps]
        for program, steps in took.items():
            if not steps:
                continue
            seconds, busy = steps[name]
            value = (
                f"{seconds:.2f} s, {total / seconds / MEGA:,.0f} MB/s, {blobs / seconds:,.0f} files/s; "
                f"processors {busy:.2f} s"
            )
            if program == "ours" and rivals:
                yield Figure(f"{name}: ours", value, f"< {min(rivals):.2f} s", met=seconds < min(rivals))
            else:
                yield Figure(f"{name}: {program}", value)


def _run(command: list[object], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{command[:3]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")


def _version(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
