"""What the people on call use: health, metrics, logs, the embedded stack."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "lucid_sessions.operations"
    label = "operations"
