"""The domain: sessions, chunks, the ledger's rows."""

from django.apps import AppConfig


class RecordingsConfig(AppConfig):
    name = "lucid_sessions.recordings"
    label = "recordings"
