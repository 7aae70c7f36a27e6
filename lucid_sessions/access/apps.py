"""Users, roles and tokens."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "lucid_sessions.access"
    label = "access"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from .roles import create_roles

        post_migrate.connect(create_roles, dispatch_uid="lucid roles")
