"""structlog without rich, which sigstore brings along: 10 MB a process, to paint what no log of ours has.

Loaded before anything that loads structlog.
"""

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # so that importing it fails
    try:
        import structlog as structlog
    finally:
        del sys.modules["rich"]
