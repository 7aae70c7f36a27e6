"""Libraries without others that they load where there are some, and that nothing of ours asks of them.

structlog would load rich, which sigstore brings along: 10 MB a process, to paint what no log of ours has.
This module is loaded before anything that loads structlog.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """What is imported within the block does without these; whoever imports one of them later has it."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: importing it fails
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


with without("rich"):
    import structlog as structlog
