"""Rows of the table, and whether what was promised is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

MEGA = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, the value, the target it has (or none) and whether it is met."""

    what: str
    value: str
    target: str = ""
    met: bool | None = None


def at_least(what: str, value: float, *, target: float, unit: str) -> Figure:
    """A figure that is to reach `target`."""
    return Figure(what, f"{value:,.0f} {unit}", f">= {target:,.0f} {unit}", met=value >= target)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below or at which `part` of the values lie (nearest rank)."""
    return sorted(values)[max(0, ceil(part * len(values)) - 1)]


def table(figures: Iterable[Figure]) -> str:
    """The figures in Markdown, aligned."""
    rows = [("measured", "result", "target", "met")]
    rows += [(f.what, f.value, f.target, {True: "yes", False: "NO", None: ""}[f.met]) for f in figures]
    return "\n".join(_aligned(rows))


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
