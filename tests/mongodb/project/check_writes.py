"""What our code relies on when it writes: row counts, uniqueness, arithmetic in the database."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, NotSupportedError, connections
from django.db.models import F
from django_mongodb_backend import transaction

from tests.mongodb.project.factories import a_tape, a_user, pieces_of
from tests.mongodb.project.shelf.models import Piece

pytestmark = pytest.mark.django_db


def test_only_one_of_many_makes_a_conditional_change() -> None:
    [piece] = pieces_of(a_tape(), 1)
    rows: list[int] = []

    def claim() -> None:
        mine = Piece.objects.filter(pk=piece.pk, state="recorded")
        rows.append(mine.update(state="compressed", attempts=F("attempts") + 1))
        connections.close_all()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    piece.refresh_from_db()
    assert sorted(rows) == [0] * 7 + [1]
    assert (piece.state, piece.attempts) == ("compressed", 1)


def test_an_update_counts_the_rows_it_matched_even_when_nothing_changes() -> None:
    tape = a_tape()
    pieces_of(tape, 5)
    assert Piece.objects.filter(tape=tape).update(state="recorded") == 5
    assert Piece.objects.filter(tape=tape, sequence__gte=3).update(size=F("size") + F("sequence")) == 2
    assert list(Piece.objects.order_by("sequence").values_list("size", flat=True)) == [0, 0, 0, 3, 4]


def test_a_second_row_of_the_same_key_is_an_integrity_error_that_names_the_key() -> None:
    tape = a_tape()
    pieces_of(tape, 2)
    with pytest.raises(IntegrityError, match="piece_once"):
        Piece.objects.create(tape=tape, sequence=1)
    with pytest.raises(IntegrityError, match="piece_once"):
        Piece.objects.bulk_create([Piece(tape=tape, sequence=1)])
    with pytest.raises(IntegrityError, match="piece_once"):
        Piece.objects.filter(tape=tape, sequence=0).update(sequence=1)
    a_user("alice")
    with pytest.raises(IntegrityError):
        a_user("alice")
    assert Piece.objects.count() == 2


def test_ignore_conflicts_keeps_what_is_there_and_adds_the_rest() -> None:
    tape = a_tape()
    pieces_of(tape, 4, state="stored")
    again = [Piece(tape=tape, sequence=number) for number in range(8)]
    Piece.objects.bulk_create(again, ignore_conflicts=True, batch_size=3)
    states = Piece.objects.order_by("sequence").values_list("state", flat=True)
    assert list(states) == ["stored"] * 4 + ["recorded"] * 4


def test_ignore_conflicts_does_not_hide_another_fault() -> None:
    with pytest.raises(IntegrityError, match="non-nullable"):
        Piece.objects.bulk_create([Piece(sequence=1)], ignore_conflicts=True)


def test_ignore_conflicts_is_refused_inside_a_transaction() -> None:
    tape = a_tape()
    with pytest.raises(NotSupportedError, match="transaction"), transaction.atomic():
        Piece.objects.bulk_create([Piece(tape=tape, sequence=1)], ignore_conflicts=True)
    assert not Piece.objects.exists()


def test_get_or_create_finds_what_another_made() -> None:
    tape = a_tape()
    first, made = Piece.objects.get_or_create(tape=tape, sequence=1, defaults={"size": 7})
    second, made_again = Piece.objects.get_or_create(tape=tape, sequence=1, defaults={"size": 9})
    assert (made, made_again, second.pk, second.size) == (True, False, first.pk, 7)
