"""Celery's side: the application, the chain and the schedule. Adapters only."""
