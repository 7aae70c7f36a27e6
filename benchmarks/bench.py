"""What every measurement is given."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bench:
    """The installation, and the segments (64 KiB and 8 MiB) to put through it; `quick` means fewer."""

    home: Path
    small: list[Path]
    large: list[Path]
    quick: bool
