"""A request's identity goes with the messages that it causes, into the logs of whoever works on them."""

from typing import Any

import structlog
from celery import signals

HEADER = "lucid_request_id"


@signals.before_task_publish.connect
def send_along(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Write the identity of the request that is being answered into the message."""
    known = structlog.contextvars.get_contextvars().get("request_id")
    if headers is not None and known:
        headers[HEADER] = known


@signals.task_prerun.connect
def take_over(task: Any = None, **_: Any) -> None:
    """Lines that this task logs name the request that caused it."""
    sent = getattr(task.request, HEADER, None) or (task.request.headers or {}).get(HEADER)
    if sent:
        structlog.contextvars.bind_contextvars(request_id=str(sent)[:64])


@signals.task_postrun.connect
def let_go(**_: Any) -> None:
    """The next task is another's."""
    structlog.contextvars.unbind_contextvars("request_id")
