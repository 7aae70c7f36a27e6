"""Webhooks as a Celery task: it says look, and returns at once; endpoints are waited for elsewhere."""

from lucid_sessions.recordings.webhooks import deliveries

from . import schedule as schedule  # its entries first: these are added
from .celery import app

SECONDS = 2.0

app.conf.task_routes |= {"webhooks.deliver": {"queue": "webhooks"}}
app.conf.beat_schedule = {
    **(app.conf.beat_schedule or {}),
    "webhooks": {"task": "webhooks.deliver", "schedule": SECONDS, "options": {"expires": SECONDS}},
}


@app.task(name="webhooks.deliver", ignore_result=True)
def deliver() -> None:
    """Have what is due sent, by threads of this process."""
    deliveries.soon()
