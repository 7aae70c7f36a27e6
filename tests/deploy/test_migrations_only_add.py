"""A release only adds to the schema: the one before it works beside it while services are replaced.

docs/deployment.md, "Another release". What nobody uses any more goes in a later release, and is listed here.
"""

from typing import Any

import pytest
from django.db import models
from django.db.migrations import operations as does
from django.db.migrations.loader import MigrationLoader

OURS = ("access", "recordings")
# Installations began with what these made; rules hold from here on.
FIRST = ("0001_initial", "0002_life_of_an_archive", "0002_what_clients_ask_for")
# (application, migration, operation): the release that stopped using what it takes away.
TAKES_AWAY: dict[tuple[str, str, str], str] = {}
HARMLESS = (does.CreateModel, does.AddIndex, does.AlterModelOptions, does.AlterModelManagers, does.RunPython)


def _operations() -> list[tuple[str, str, Any]]:
    found = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    return [
        (application, name, operation)
        for (application, name), migration in sorted(found.items())
        if application in OURS and name not in FIRST
        for operation in migration.operations
    ]


def problem(operation: Any) -> str:
    """Why the release before could not work beside it; empty when it can."""
    if isinstance(operation, HARMLESS):
        return ""
    if isinstance(operation, does.AddField | does.AlterField):
        field = operation.field
        filled = field.null or field.has_default() or field.many_to_many
        return "" if filled else f"{operation.name} is wanted, and the release before does not write it"
    if isinstance(operation, does.RemoveIndex):
        return ""  # slower for a while
    if isinstance(operation, does.AddConstraint) and isinstance(
        operation.constraint, models.UniqueConstraint
    ):
        return ""  # of what the release before keeps unique by itself: for the reviewer to see
    return f"{type(operation).__name__} takes away, or means something else by, what the release before uses"


def test_every_migration_can_be_worked_beside() -> None:
    found = {
        (application, name, operation.describe()): problem(operation)
        for application, name, operation in _operations()
    }
    assert {key: why for key, why in found.items() if why and key not in TAKES_AWAY} == {}


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        (does.RemoveField("session", "reason"), "takes away"),
        (does.DeleteModel("gap"), "takes away"),
        (does.RenameField("session", "reason", "why"), "takes away"),
        (does.RunSQL("select 1"), "takes away"),
        (does.AddField("session", "colour", models.IntegerField()), "is wanted"),
        (does.AlterField("session", "reason", models.IntegerField()), "is wanted"),
        (does.AddField("session", "colour", models.IntegerField(null=True)), ""),
        (does.AddField("session", "colour", models.IntegerField(default=3)), ""),
    ],
)
def test_what_takes_away_or_wants_more_is_found(operation: Any, word: str) -> None:
    assert word in problem(operation)
    assert bool(problem(operation)) == bool(word)
