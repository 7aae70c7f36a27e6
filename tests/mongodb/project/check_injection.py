"""What a client sends stays a value: it becomes neither an operator, nor a field, nor code, nor a pattern."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError
from django.db.models import Case, Count, F, Q, Value, When
from django.db.models.functions import Lower

from tests.mongodb.project.factories import a_tape, a_user
from tests.mongodb.project.shelf.models import Tape, User

pytestmark = pytest.mark.django_db

OPERATORS: list[dict[str, Any]] = [{"$ne": ""}, {"$gt": ""}, {"$regex": ".*"}, {"$exists": True}]


@pytest.mark.parametrize("sent", OPERATORS)
def test_an_operator_as_a_value_matches_nothing(sent: dict[str, Any]) -> None:
    a_tape(settings={"token": "secret"}, owner=a_user())
    assert not Tape.objects.filter(settings__token=sent).exists()
    assert not Tape.objects.filter(settings=sent).exists()
    assert not Tape.objects.filter(title=sent).exists()
    assert not Tape.objects.filter(owner__username=sent).exists()
    assert not Tape.objects.filter(settings__token=sent).update(title="changed")
    assert Tape.objects.exclude(settings__token=sent).exists()


def test_an_operator_in_a_list_is_refused() -> None:
    a_tape(settings={"token": "secret"})
    with pytest.raises(DatabaseError, match="MongoDB"):
        Tape.objects.filter(settings__token__in=[{"$ne": ""}]).exists()


@pytest.mark.parametrize(
    "sent",
    [
        {"$toString": "secret"},
        {"$function": {"body": "function() { return 'secret' }", "args": [], "lang": "js"}},
        "$settings.twin",
    ],
)
def test_code_as_a_value_is_not_run(sent: Any) -> None:
    a_tape(settings={"a.b": "secret", "twin": "secret"})
    assert not Tape.objects.filter(**{"settings__a.b": sent}).exists()
    assert not Tape.objects.filter(**{"settings__a.b__in": [sent]}).exists()
    assert Tape.objects.filter(**{"settings__a.b__in": ["secret", sent]}).exists()


def test_a_value_that_begins_with_a_dollar_is_not_a_field() -> None:
    a_user("alice", first_name="alice")
    lowered = User.objects.annotate(lowered=Lower("username"))
    assert not lowered.filter(lowered="$first_name").exists()
    assert not lowered.filter(lowered__in=["$first_name"]).exists()
    assert User.objects.aggregate(n=Count("pk", filter=Q(username="$first_name"))) == {"n": 0}
    answer = Case(When(username="$first_name", then=Value("yes")), default=Value("no"))
    assert User.objects.annotate(answer=answer).get().answer == "no"


def test_a_value_that_begins_with_a_dollar_is_kept_and_found() -> None:
    tape = a_tape(title="$HOME", settings={"$set": {"title": "$title"}})
    Tape.objects.filter(title="$HOME").update(title="$PATH", settings=tape.settings)
    tape.refresh_from_db()
    assert (tape.title, tape.settings) == ("$PATH", {"$set": {"title": "$title"}})
    assert Tape.objects.annotate(lowered=Lower("title")).filter(lowered="$path").exists()


@pytest.mark.parametrize("sent", [".*", "x|.*", "a.ice", "^alice", "(a+)+$"])
@pytest.mark.parametrize("lookup", ["iexact", "contains", "icontains", "startswith", "iendswith"])
def test_a_pattern_as_a_value_matches_only_itself(sent: str, lookup: str) -> None:
    a_user("alice")
    assert not User.objects.filter(**{f"username__{lookup}": sent}).exists()
    lowered = User.objects.annotate(lowered=Lower("username"))
    assert not lowered.filter(**{f"lowered__{lookup}": sent}).exists()


def test_honest_computed_look_ups_still_match() -> None:
    alice = a_user("alice", first_name="alice")
    tape = a_tape(owner=alice, settings={"a.b": "secret", "n": 3})
    lowered = User.objects.annotate(lowered=Lower("username"))
    assert lowered.filter(lowered__in=["alice", "alice", None, "bob"]).count() == 1
    assert lowered.filter(lowered__in=[F("first_name"), "bob"]).count() == 1
    assert not lowered.filter(lowered__in=[]).exists()
    assert lowered.filter(lowered__range=("a", "b")).count() == 1
    assert lowered.filter(
        lowered__contains="lic", lowered__istartswith="AL", lowered__regex="^a.+e$"
    ).exists()
    assert Tape.objects.filter(**{"settings__a.b": "secret"}, settings__n__gte=2).count() == 1
    assert Tape.objects.filter(begun_at__date=tape.begun_at.date()).count() == 1
    assert Tape.objects.aggregate(n=Count("pk", filter=Q(pk__in=[tape.pk]))) == {"n": 1}
    assert Tape.objects.filter(owner__in=User.objects.filter(username="alice")).count() == 1
