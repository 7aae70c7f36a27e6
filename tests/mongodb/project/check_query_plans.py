"""The queries that must not scan: each shows the index that MongoDB chose."""

from __future__ import annotations

import pytest
from django.db.models import Q
from django.utils import timezone

from tests.mongodb.plans import SLOW, plan_of
from tests.mongodb.project.factories import a_tape, a_user, pieces_of
from tests.mongodb.project.shelf.models import Piece, Tape, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def tape() -> Tape:
    tape = a_tape(owner=a_user())
    pieces_of(tape, 300)
    return tape


def test_work_in_order_of_its_time_comes_from_the_index(tape: Tape) -> None:
    plan = plan_of(Piece.objects.filter(state="recorded").order_by("due_at", "id")[:10])
    assert "IXSCAN:piece_work" in plan
    assert not plan & SLOW


def test_a_page_of_the_newest_comes_from_the_index(tape: Tape) -> None:
    plan = plan_of(Tape.objects.order_by("-begun_at", "-id")[:10])
    assert "IXSCAN:tape_begun" in plan
    assert not plan & SLOW


def test_the_page_after_a_key_comes_from_the_index(tape: Tape) -> None:
    now = timezone.now()
    after = Tape.objects.filter(begun_at__lte=now).filter(Q(begun_at__lt=now) | Q(id__lt=tape.pk))
    plan = plan_of(after.order_by("-begun_at", "-id")[:10])
    assert "IXSCAN:tape_begun" in plan
    assert not plan & SLOW


def test_selected_columns_and_a_joined_owner_keep_the_index(tape: Tape) -> None:
    newest = Tape.objects.order_by("-begun_at", "-id")
    for query in (
        newest.values("title")[:10],
        newest.only("title")[:10],
        newest.select_related("owner")[:10],
    ):
        plan = plan_of(query)
        assert "IXSCAN:tape_begun" in plan
        # The owner is looked up for the ten, after they were found in order.
        assert not (plan & SLOW) - {"$lookup"}


def test_the_parts_of_one_tape_come_in_order_from_the_index(tape: Tape) -> None:
    plan = plan_of(Piece.objects.filter(tape=tape).order_by("sequence")[:10])
    assert "IXSCAN:piece_in_order" in plan
    assert not plan & SLOW


def test_a_unique_value_is_looked_up_by_its_plain_twin(tape: Tape) -> None:
    assert "IXSCAN:user_username" in plan_of(User.objects.filter(username="alice"))
    assert "IXSCAN:piece_in_order" in plan_of(Piece.objects.filter(tape=tape, sequence=4))


def test_a_key_and_a_state_are_looked_up_by_the_key(tape: Tape) -> None:
    piece = Piece.objects.filter(tape=tape, sequence=1).get()
    plan = plan_of(Piece.objects.filter(pk=piece.pk, state="recorded"))
    assert "IXSCAN:_id_" in plan or "IDHACK" in plan


def test_the_explained_pages_hold_what_they_should() -> None:
    owner = a_user()
    for number in range(7):
        a_tape(title=f"tape {number}", owner=owner if number % 2 else None)
    newest = Tape.objects.order_by("-begun_at", "-id")
    whole = list(newest)
    assert [tape.pk for tape in newest[2:5]] == [tape.pk for tape in whole[2:5]]
    assert list(newest.values_list("title", flat=True)[:3]) == [tape.title for tape in whole[:3]]
    joined = list(newest.select_related("owner")[:7])
    assert [tape.owner for tape in joined] == [tape.owner for tape in whole]
    assert [tape.pk for tape in newest.filter(owner__username="alice")] == [t.pk for t in whole if t.owner]
