"""Real servers with the deployment's own configuration, on loopback and on ports of our own."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.waiting import PATIENCE


@contextlib.contextmanager
def started(*command: str | Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The running program; it ends with the block, and its words are in `log`."""
    with log.open("wb") as out:
        program = subprocess.Popen([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(15)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def await_ready(ready: Callable[[], bool], *, program: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once `ready`; RuntimeError with the program's words when it ended or it took too long."""
    deadline = time.monotonic() + PATIENCE
    while program.poll() is None and time.monotonic() < deadline:
        if ready():
            return
        time.sleep(0.05)
    raise RuntimeError(log.read_text(errors="replace")[-3000:])
