"""Kill a real process at each of its file operations, one after another, with nothing patched.

CPython announces an open, mkdir, rename, link, or remove to audit hooks before it performs it; a hook in a
forked child that sends itself SIGKILL there dies as a power cut would have it: between two of its writes.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_STEPS = frozenset({"open", "os.mkdir", "os.rename", "os.link", "os.remove"})


def die_at_step(step: int, act: Callable[[], object], *, below: Path) -> bool:
    """True if a child that ran `act` was killed at its file operation `step`; False if it had fewer."""
    child = os.fork()
    if child == 0:
        _run_and_leave(step, act, below)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the action failed in the child"
    return False


def _run_and_leave(step: int, act: Callable[[], object], below: Path) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in _STEPS and str(arguments[0]).startswith(str(below)):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        act()
    except BaseException:  # noqa: BLE001  the child must not run the rest of the test session
        os._exit(1)
    os._exit(0)
