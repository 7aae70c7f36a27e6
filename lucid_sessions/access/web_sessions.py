"""The session engine of the admin and console: Django's database store over our own model."""

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from .models import WebSession


class SessionStore(DatabaseStore):
    """Browser sessions kept in `WebSession` rows."""

    @classmethod
    def get_model_class(cls) -> type[WebSession]:
        return WebSession
