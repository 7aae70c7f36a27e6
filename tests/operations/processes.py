"""Stacks under test: how they are started, what they say, which processes belong to them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import programs

ROOT = Path(__file__).resolve().parents[2]
# What would lead a stack under test elsewhere than to its own home.
FOREIGN = ("REDIS_URL", "MONGODB_URL", "DATABASE_URL", "SECRET_KEY", "ENCRYPTION_PASSWORD", "ENCRYPTION_SALT")


def of_home(home: Path) -> list[str]:
    """The command lines of all living processes of the stack in `home`."""
    processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [_command(one) for one in processes if int(one.name) != os.getpid() and _belongs(one, home)]


def _belongs(process: Path, home: Path) -> bool:
    """By its inherited LUCID_HOME; some overwrite that with a title, so by where they write, too."""
    try:
        if f"LUCID_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
            return True
        return str((process / "fd" / "1").readlink()).startswith(str(home))
    except OSError:
        return False  # it ended while we looked


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "ended just now"


def descendants(pid: int, what: str) -> list[int]:
    """The processes below this one whose command line names it."""
    return [one for one in programs.descendants(pid) if what in _command(Path(f"/proc/{one}"))]


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a stack in `home` is started with."""
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**inherited, "LUCID_HOME": str(home), **more}


@contextmanager
def running(home: Path, *arguments: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
    """`manage.py ...` as from a terminal, `more` in its environment; killed at the end if it still runs."""
    out = home.parent / f"{home.name}-output.txt"
    with out.open("w") as stdout:
        started = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment(home, **more),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield started
        finally:
            started.kill()
            started.wait()


def output(home: Path) -> str:
    """What it has printed so far."""
    return (home.parent / f"{home.name}-output.txt").read_text()
