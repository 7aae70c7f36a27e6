"""The Celery application: one queue a stage, every setting with the fault that it answers.

The figures and experiments behind the settings are in docs/decisions/0003-celery-is-a-hint.md.
"""

import os

from celery import Celery
from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lucid_sessions.settings")
# `migrate` has checked this code. A worker would load the whole REST API for it: a third of its start, 25 MB.
os.environ.setdefault("CELERY_SKIP_CHECKS", "yes")

from django.conf import settings

from lucid_sessions.recordings.lifecycle import QUEUES, STAGES

# By its own name, so that logs and Flower show an ordinary redis:// address.
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "tasks.transport:Transport"
app = Celery(
    "lucid_sessions",
    broker=settings.REDIS_URL,
    include=[
        *("tasks.log_context", "tasks.pipeline", "tasks.schedule", "tasks.upkeep"),
        *("tasks.jobs", "tasks.webhooks"),
    ],
)
app.conf.update(
    task_routes={
        **{f"pipeline.{stage}": {"queue": stage} for stage in STAGES},
        "pipeline.let_go": {"queue": "pipeline"},
        "schedule.reconcile": {"queue": "pipeline"},
        "schedule.seal": {"queue": "pipeline"},
        "schedule.sweep": {"queue": "maintenance"},
    },
    task_queues=[Queue(name, routing_key=name) for name in QUEUES],
    task_default_queue="pipeline",
    task_create_missing_queues=True,  # `<stage>.<spool>` on several hosts
    # A broker that is away is waited for; 0 would not mean "for ever".
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # Else a Redis that is full, read-only or saving ends the worker within seconds.
    broker_channel_error_retry=True,
    broker_pool_acquire_timeout=10,
    broker_transport_options={
        "visibility_timeout": 300,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 2,
        "unacked_restore_limit": 500,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "priority_steps": [0],
    },
    task_publish_retry_policy={
        "max_retries": 2,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    task_acks_late=True,
    # True would deliver a task that kills its worker again and again.
    task_reject_on_worker_lost=False,
    task_ignore_result=True,
    result_backend=None,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_soft_shutdown_timeout=20,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_proc_alive_timeout=30,
    worker_hijack_root_logger=False,
    # They cost a third more a message: `-E` where Flower is to show tasks.
    worker_send_task_events=False,
    timezone="UTC",
)
