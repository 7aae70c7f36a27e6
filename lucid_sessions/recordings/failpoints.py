"""Places at which a test may kill this process: `LUCID_FAILPOINT=store.done:2` dies at the second passing.

Off unless the variable is set. The process kills itself with SIGKILL, as a power cut to it would.
"""

import os
import signal
import threading

_name, _, _times = os.environ.get("LUCID_FAILPOINT", "").partition(":")
_left = int(_times or 1)
_lock = threading.Lock()


def reach(name: str) -> None:
    """Pass the place called `name`, or die there."""
    global _left
    if name != _name:
        return
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
