"""The demonstration on a terminal, with a live bar, or in plain lines where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Session
from lucid_sessions.recordings.progress import Progress as Standing
from lucid_sessions.recordings.verification import Report

from . import demo
from .premises import shown


class Watcher(Protocol):
    """Something that shows where the recording stands."""

    def __call__(self, now: Standing) -> None:
        """Show it."""


class Display:
    """Everything that the demonstration prints, on `console`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, text: str) -> None:
        """One thing that has been done."""
        self._console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def watching(self, seconds: float) -> Iterator[Watcher]:
        """While the block runs, a function that shows where the recording stands."""
        if not self._console.is_terminal:
            yield _Lines(self._console)
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self._console, transient=True) as bars:
            yield _Bars(
                bars,
                bars.add_task("seconds recorded", total=round(seconds)),
                bars.add_task("chunks anchored ", total=None),
            )

    def summary(
        self, session: Session, report: Report, forgery: demo.Forgery, *, mp4: Path, logs: Path
    ) -> None:
        """What came out, and where it lies."""
        size = demo.sizes(session)
        table = Table(title="What happened", show_header=False, title_justify="left", min_width=60)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("session", f"{session.pk} ({session.status})")
        table.add_row("recorded", f"{_mega(size['recorded'])} in {report.checked} chunks")
        table.add_row("stored", f"{_mega(size['stored'])}, compressed where it pays, encrypted")
        for stage, times in demo.stage_times(session).items():
            table.add_row(f"  {stage}", f"{median(times):.1f} ms a chunk (median), {max(times):.1f} at most")
        if anchoring := demo.anchoring_seconds(session):
            table.add_row("  anchor", f"{median(anchoring):.1f} s after storing (signed for many at once)")
        table.add_row("ledger", f"checkpoint of {report.checkpoint_size} records, root {report.root}")
        table.add_row("verified", report.verdict)
        table.add_row(
            "forgery", f"1 of {forgery.chunk.blob_length} bytes flipped in a copy: caught and named"
        )
        table.add_row("video", shown(mp4))
        table.add_row("logs", shown(logs))
        self._console.print(table, soft_wrap=not self._console.is_terminal)


class _Bars:
    def __init__(self, bars: Progress, recorded: TaskID, anchored: TaskID) -> None:
        self._bars, self._recorded, self._anchored = bars, recorded, anchored
        self._began: float | None = None

    def __call__(self, now: Standing) -> None:
        if self._began is None and now.status == Status.RECORDING:
            self._began = time.monotonic()
        self._bars.update(self._recorded, completed=self._seconds(now))
        self._bars.update(self._anchored, completed=now.anchored, total=now.total or None)

    def _seconds(self, now: Standing) -> int:
        """While a segment grows nobody has counted its seconds yet: the clock does."""
        if now.status == Status.RECORDING and self._began is not None:
            return max(int(now.recorded_seconds), int(time.monotonic() - self._began))
        return round(now.recorded_seconds)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console, self._shown = console, ""

    def __call__(self, now: Standing) -> None:
        if str(now) != self._shown:
            self._shown = str(now)
            self._console.print(f"  {now}", highlight=False)


def _mega(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
