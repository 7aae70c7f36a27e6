"""The same files through a plain loop, and through `restic backup`, each in a process of its own."""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Restic:
    """Seconds of a whole `restic backup`, and of what restic needs to open the repository at all."""

    backup: float
    opening: float


def plain_loop(sources: Sequence[Path], target: Path, *, digests: int) -> float:
    """Seconds that the plain loop takes, without its start-up; its allocator is set as the workers'."""
    from lucid_sessions.operations import programs

    target.mkdir()
    command = [sys.executable, "-m", "benchmarks.loop", str(digests), str(target), *map(str, sources)]
    done = subprocess.run(command, env=programs.environment(), capture_output=True, text=True, check=True)
    shutil.rmtree(target)
    return float(done.stdout)


def restic(sources: Sequence[Path], target: Path) -> Restic | None:
    """A backup of the files into a new repository (whose making is not counted); None without restic."""
    if shutil.which("restic") is None:
        return None
    env = {
        **os.environ,
        "RESTIC_REPOSITORY": str(target / "repository"),
        "RESTIC_CACHE_DIR": str(target / "cache"),
        "RESTIC_PASSWORD": secrets.token_urlsafe(24),
    }
    target.mkdir()
    try:
        _timed(["init"], env)
        opening = _timed(["snapshots"], env)
        return Restic(_timed(["backup", *map(str, sources)], env), opening)
    finally:
        shutil.rmtree(target)


def _timed(arguments: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(["restic", "--quiet", *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
