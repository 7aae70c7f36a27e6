"""A row that an earlier release wrote lacks newer columns: they read as defaults, and can be written."""

from __future__ import annotations

import pytest
from django.db import connection

from lucid_sessions.mongodb.completing import complete
from tests.mongodb.project.factories import a_tape, pieces_of
from tests.mongodb.project.shelf.models import Piece

pytestmark = pytest.mark.django_db


def test_a_missing_value_is_the_default_and_is_found_by_filters_once_it_was_written() -> None:
    [piece] = pieces_of(a_tape(), 1)
    collection = connection.get_collection(Piece._meta.db_table)
    collection.update_many({}, {"$unset": {"attempts": ""}})
    assert Piece.objects.get().attempts == 0
    assert list(Piece.objects.values_list("attempts", flat=True)) == [0]
    assert not Piece.objects.filter(attempts=0).exists()
    assert complete() == 1
    assert Piece.objects.get(attempts=0) == piece
    assert complete() == 0
