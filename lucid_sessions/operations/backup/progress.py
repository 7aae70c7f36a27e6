"""How far a long command has got, a bar on a terminal, nothing elsewhere; and what went wrong on its way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from rich.console import Console
from rich.progress import Progress, TaskID

MOST_LINES = 20


def lines_of(problems: Sequence[str]) -> Iterator[str]:
    """The first of them, and how many more there are: a lost disk is one problem for a person, not 10,000."""
    yield from islice(problems, MOST_LINES)
    if len(problems) > MOST_LINES:
        yield f"... and {len(problems) - MOST_LINES} more: --json names them all."


@contextmanager
def shown() -> Iterator[Callable[[str, int, int], None]]:
    """A function that is told what is being done, how much of it is, and of how much."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda *_: None
        return
    with Progress(console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total or None)
            progress.update(tasks[what], completed=done, total=total or None)

        yield tell
