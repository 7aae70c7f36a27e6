"""Start a command that ends with its supervisor: `python -I -S leash.py SUPERVISOR SIGNAL COMMAND...`.

A program of its own, run between fork and the command, because a supervisor with threads may not run
Python there. The kernel sends SIGNAL to the command when the supervisor's thread that started it ends.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(supervisor: int, number: int, command: list[str]) -> None:
    """Become `command`, leashed to the process `supervisor` by the signal `number`."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != supervisor:
        # It ended before the leash was on, so nobody would ever end us.
        raise SystemExit(1)
    os.execvp(command[0], command)  # noqa: S606 - the command is the supervisor's own


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
