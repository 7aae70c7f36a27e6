"""Ports for servers of tests, which nobody takes between the choice of one and its use.

A port that the kernel picks (bind to 0, close) may be anybody's a moment later: another test's, or an
outgoing connection's own. These lie below the range that the kernel picks from, and each test process has a
block of them for itself, by a name that it holds in the kernel as long as it lives. Names of that kind are
seen within one network namespace, as ports are.
"""

import itertools
import os
import socket
from collections.abc import Iterator
from functools import cache

FIRST, BLOCKS, EACH = 20_000, 98, 128  # up to 32,543: Linux picks from 32,768 on


def free_port() -> int:
    """A port that nobody listens on, this process' own until it has gone round its block of 128."""
    for port in itertools.islice(_turn(os.getpid()), EACH):
        if _is_free(port):
            return port
    raise RuntimeError(f"All {EACH} ports of this test process are in use.")


def own_number() -> int:
    """A number below `BLOCKS` that is this process' own as its ports are: for what is named in the kernel."""
    return (free_port() - FIRST) // EACH


@cache
def _turn(pid: int) -> Iterator[int]:
    """This process' ports, round and round; one that was forked from it has others, hence the `pid`."""
    for number in range(BLOCKS):
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0lucid-sessions-test-ports-{number}")
        except OSError:
            held.close()
        else:
            _HELD[pid] = held
            return itertools.cycle(range(FIRST + number * EACH, FIRST + (number + 1) * EACH))
    raise RuntimeError(f"All {BLOCKS} blocks of ports belong to test processes that run.")


_HELD: dict[int, socket.socket] = {}


def _is_free(port: int) -> bool:
    """Whether a server may listen there, on any of this machine's addresses."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
