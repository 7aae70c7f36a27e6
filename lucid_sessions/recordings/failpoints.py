"""Places at which a test may kill this process: `LUCID_FAILPOINT=store.done:2` dies at the second passing.

Off unless the variable is set. The process kills itself with SIGKILL, as a power cut to it would.
"""

import os
import signal
import threading

_armed: str = ""
_left = 0
_lock = threading.Lock()


def arm(text: str) -> None:
    """From now on this process dies at `name:times`; an empty text disarms."""
    global _armed, _left
    name, _, times = text.partition(":")
    _armed, _left = name, int(times or 1)


def reach(name: str) -> None:
    """Pass the place called `name`, or die there."""
    global _left
    if name != _armed:
        return
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("LUCID_FAILPOINT", ""))
