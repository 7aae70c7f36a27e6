"""Rows of the table, and whether what was promised is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

MEGA = 1_000_000
HEAD = "measured", "result", "target", "met"
WIDTHS = 60, 14, 26, 3


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


def show(figures: Iterable[Figure]) -> None:
    """Print the table as it comes about: each row as soon as its figure is known."""
    print(_row(HEAD))
    print("|" + "|".join("-" * (width + 2) for width in WIDTHS) + "|", flush=True)
    for figure in figures:
        print(_row(_cells(figure)), flush=True)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(text.ljust(width) for text, width in zip(cells, WIDTHS, strict=True)) + " |"


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    return figure.what, figure.value, figure.target, {True: "yes", False: "NO", None: ""}[figure.met]


def table(figures: Iterable[Figure]) -> str:
    """The figures in Markdown, aligned."""
    rows = [HEAD, *map(_cells, figures)]
    return "\n".join(_aligned(rows))


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
