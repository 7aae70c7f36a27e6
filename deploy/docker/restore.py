"""`manage.py restore` where services have keys of their own: what it says of the log reaches the sealer.

    restore.py SEALER [options of `manage.py restore`]        as the one-shot service `restore` calls it

The log's pin (docs/decisions/0013) lies on the sealer's volume alone. A restore among all keys would not
find it, and take it for lost; and one that vouches for the log, or begins a new one, would tell nobody who
signs. So the pin is fetched before and handed over after; keys-all keeps none: an old one says too little.
"""

import os
import subprocess
import sys
from pathlib import Path

from share_keys import copy

PIN = Path("private/log.pin")
MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


def restore(sealer: Path, keys: Path, *words: str) -> int:
    """The exit status of `manage.py restore`; the sealer then has the pin that it left."""
    pin = keys / PIN
    if is_newer(sealer / PIN, than=pin):
        copy(sealer / PIN, to=pin)
    try:
        return subprocess.run([sys.executable, MANAGE, "restore", *words], check=False).returncode
    finally:
        if pin.exists():
            copy(pin, to=sealer / PIN)
            pin.unlink()


def is_newer(pin: Path, *, than: Path) -> bool:
    """Whether it tells of as much of the same log.

    Another log's is what a restore left that began that log and died before it could hand the pin over.
    """
    if not pin.exists() or not than.exists():
        return pin.exists()
    (origin, size), (other, other_size) = (path.read_text().splitlines()[:2] for path in (pin, than))
    return origin == other and int(size) >= int(other_size)


if __name__ == "__main__":
    try:
        sys.exit(restore(Path(sys.argv[1]), Path(os.environ["LUCID_KEYS_PATH"]), *sys.argv[2:]))
    except (IndexError, KeyError, OSError, ValueError) as error:
        sys.exit(f"restore: {error!r}")
