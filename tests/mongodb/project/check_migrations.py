"""A migration that was killed in the midst, after whichever of its steps, is done by running it again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {"shelf_reel", "shelf_label", "shelf_reel_labels"}


class Killed(BaseException):
    """Nothing that the migration does comes after it."""


class Kill(migrations.RunPython):
    """The process ends here."""

    def __init__(self) -> None:
        super().__init__(_kill)


def _kill(*_: Any) -> None:
    raise Killed


def steps() -> list[Any]:
    """Every kind of step that our migrations take."""
    by_state = models.Index(fields=["state", "id"], name="reel_state_ix")
    by_both = models.Index(fields=["state", "label"], name="reel_both_ix")
    once = models.UniqueConstraint(fields=["label"], name="reel_label_once")
    key = models.UUIDField(primary_key=True)
    label = models.CharField(max_length=9, unique=True)
    return [
        migrations.CreateModel("Label", [("id", key), ("text", label.clone())]),
        migrations.CreateModel(
            "Reel",
            [
                ("id", key.clone()),
                ("state", models.CharField(max_length=9, db_index=True)),
                ("label", models.CharField(max_length=9)),
                ("labels", models.ManyToManyField("shelf.Label")),
            ],
            options={"indexes": [by_state]},
        ),
        migrations.AddIndex("reel", by_both),
        migrations.AddConstraint("reel", once),
        migrations.RemoveIndex("reel", "reel_state_ix"),
        migrations.AddField("reel", "place", models.CharField(max_length=9, default="", db_index=True)),
    ]


def migrate(operations: list[Any]) -> None:
    migration = migrations.Migration("0002_reels", "shelf")
    migration.operations = operations
    with connection.schema_editor() as editor:
        migration.apply(ProjectState(), editor)


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    for name in NAMES:
        connection.database[name].drop()


def indexes() -> dict[str, set[str]]:
    return {name: set(connection.database[name].index_information()) for name in NAMES}


@pytest.mark.parametrize("done", range(1, len(steps()) + 1))
def test_it_goes_on_after_any_of_its_steps(done: int) -> None:
    with pytest.raises(Killed):
        migrate([*steps()[:done], Kill()])
    migrate(steps())
    assert set(connection.database.list_collection_names()) >= NAMES
    assert indexes()["shelf_reel"] >= {"reel_both_ix", "reel_label_once"}
    assert "reel_state_ix" not in indexes()["shelf_reel"]


def test_what_is_refused_for_another_reason_is_no_step_that_was_done() -> None:
    other = models.Index(fields=["label"], name="reel_both_ix")
    migrate(steps())
    with pytest.raises(Exception, match="reel_both_ix"):
        migrate([*steps()[:2], migrations.AddIndex("reel", other)])
