"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import subprocess
from pathlib import Path

PACKAGES = ("django", "celery", "redis", "av", "cryptography", "zstandard")


def facts(home: Path) -> list[tuple[str, str]]:
    """(what, which) of the machine, the file system under `home` and the versions that matter."""
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return [
        ("CPU", f"{_cpu()}, {len(os.sched_getaffinity(0))} cores"),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("file system", _file_system(home)),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}"),
        ("restic", _first_line("restic", "version")),
        ("load before", " ".join(f"{load:.1f}" for load in os.getloadavg())),
    ]


def _cpu() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(home: Path) -> str:
    """The type of the mount that `home` lies on."""
    mounts = [line.split() for line in _lines(Path("/proc/mounts"))]
    under = [(len(point), kind) for _, point, kind, *_ in mounts if home.is_relative_to(point)]
    return max(under)[1] if under else "unknown"


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []


def _first_line(program: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        return "not installed"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False).stdout.strip()
