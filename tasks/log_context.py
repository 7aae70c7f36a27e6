"""Lines that a task logs say which task it is, and which stage of the chain."""

from typing import Any

import structlog
from celery import signals

STAGE = "pipeline."


@signals.task_prerun.connect
def name(task_id: str = "", task: Any = None, **_: Any) -> None:
    """From here on lines of this thread carry the task's id, and its stage if it is one of the chain's."""
    known = {"task_id": task_id}
    if str(task.name).startswith(STAGE):
        known["stage"] = task.name.removeprefix(STAGE)
    structlog.contextvars.bind_contextvars(**known)


@signals.task_postrun.connect
def forget(**_: Any) -> None:
    """The next task has a name of its own."""
    structlog.contextvars.unbind_contextvars("task_id", "stage")
