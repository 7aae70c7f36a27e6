"""What the people on call use: health, metrics, logs, the embedded stack."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "lucid_sessions.operations"
    label = "operations"

    def ready(self) -> None:
        """Count what the pipeline does in this process; where its memory is, if it is traced."""
        from django.conf import settings

        from lucid_sessions.recordings import observation

        from . import memory, metrics

        observation.register(metrics.observe)
        memory.watch()
        if settings.MONGO:  # else the driver need not be there
            from lucid_sessions.mongodb import checks  # noqa: F401  they register themselves
