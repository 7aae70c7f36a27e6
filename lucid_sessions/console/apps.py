"""The browser's side: operator pages and the player."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "lucid_sessions.console"
    label = "console"
