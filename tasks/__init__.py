"""Celery's side: the application, the chain and the schedule. Adapters only."""

from lucid_sessions import lean

# All messages are JSON.
with lean.without("yaml"):
    import kombu.serialization  # noqa: F401
