"""Real processes to kill: a forked child does one thing, and dies at a failpoint or a system call."""

import os
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from django.db import connections

from lucid_sessions.recordings import failpoints
from tests.waiting import PATIENCE

DEADLINE_SECONDS = PATIENCE
KILLED = -signal.SIGKILL
# Threads that go on when the call that began them has returned.
OF_THE_PRODUCT = ("webhooks",)


def run_forked(act: Callable[[], object], *, failpoint: str = "", straced: list[str] | None = None) -> int:
    """How a child that did `act` ended: 0, 1 after an exception, or the negative signal that killed it.

    `straced`: arguments for strace, which is attached before the child begins (`inject=...`, `-o FILE`).
    """
    stand_alone()
    gate_out, gate_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(gate_in)
        _act_and_leave(act, gate=gate_out, failpoint=failpoint)
    os.close(gate_out)
    tracer = None
    try:
        if straced is not None:
            tracer = _attached(child, straced)
        os.write(gate_in, b"go")
        return _ended(child)
    finally:
        os.close(gate_in)
        if tracer is not None:
            tracer.wait(DEADLINE_SECONDS)


def stand_alone() -> None:
    """No thread of the product runs here now, and no database connection is open: this process may fork.

    A thread in the middle of a query holds a lock of SQLite's: in the child nobody would ever release it. And
    the child would take the locks on the file that the thread's connection holds for its own.
    """
    for thread in threading.enumerate():
        if thread.name in OF_THE_PRODUCT:
            thread.join(DEADLINE_SECONDS)
    connections.close_all()


def _act_and_leave(act: Callable[[], object], *, gate: int, failpoint: str) -> None:
    status = 1
    try:
        os.read(gate, 2)
        failpoints.arm(failpoint)
        act()
        status = 0
    except BaseException:  # noqa: BLE001 - the child must not go on with the parent's tests
        if os.environ.get("LUCID_FAULTS_SHOW"):
            traceback.print_exc()
    finally:
        os._exit(status)


def _attached(child: int, arguments: list[str]) -> subprocess.Popen[bytes]:
    command = ["strace", "-f", "-qq", "-p", str(child), *arguments]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE
    # It sleeps once it is done with attaching: the child is its own a moment before it is stopped.
    while _status(child, "TracerPid") == "0" or _status(tracer.pid, "State") != "S":
        if tracer.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"strace could not attach: {tracer.stderr and tracer.stderr.read()!r}")
        time.sleep(0.002)
    return tracer


def _status(process: int, name: str) -> str:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def _ended(child: int) -> int:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise RuntimeError(f"the child did not end in {DEADLINE_SECONDS} s")
