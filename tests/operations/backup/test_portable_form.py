"""What moves with an installation from one kind of database to another."""

from django.apps import apps

from lucid_sessions.operations.backup import rows


def test_every_table_of_ours_moves_or_is_named_as_one_that_stays() -> None:
    moving = {model._meta.label for model in rows.portable_models()}
    ours = {
        model._meta.label
        for name in ("access", "recordings")
        for model in apps.get_app_config(name).get_models()
    }
    assert ours - moving == set(rows.LEFT)
    assert not moving & set(rows.LEFT)
