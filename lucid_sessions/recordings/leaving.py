"""Whether this worker is about to end: then no further chunk is begun, and what is left of a lot goes back.

Celery tells the parent process only; a pool of processes works in its children. So the answer lies in memory
that a parent shares with all it has forked.
"""

import mmap

_shared = mmap.mmap(-1, 1)


def announce() -> None:
    """This process, and all that it forked or that forked it, are to end."""
    _shared[0] = 1


def is_announced() -> bool:
    """True once somebody of the family has said so."""
    return _shared[0] == 1
