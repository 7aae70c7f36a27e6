"""`python -m tasks worker ...` and `python -m tasks beat ...`: Celery's own commands of these names.

The command line `celery` has every command loaded, Flower's and a shell among them: a quarter of a
worker's start.
"""

import gc

# As in manage.py: imports make no garbage.
gc.set_threshold(20_000, 10, 10)

from lucid_sessions import lean  # noqa: E402

with lean.without("pygments"):
    import click
    from celery.bin.base import CLIContext
    from celery.bin.beat import beat
    from celery.bin.worker import worker

from tasks.celery import app  # noqa: E402


@click.group(commands={"worker": worker, "beat": beat})
@click.pass_context
def main(context: click.Context) -> None:
    """Start a Celery worker, or the clock of the schedule."""
    context.obj = CLIContext(app, no_color=False, workdir=None)


if __name__ == "__main__":
    main()
