"""Where recurring jobs stand: a small row each, so that a job goes on after any interruption."""

from typing import Any

from django.db import IntegrityError
from django.db.models import F

from .models import Upkeep


def recall(name: str) -> dict[str, Any]:
    """What the job noted last; empty when it never ran."""
    facts = Upkeep.objects.filter(pk=name).values_list("facts", flat=True).first()
    return dict(facts or {})


def note(name: str, facts: dict[str, Any]) -> None:
    """Remember this for the job's next turn. Of two that run at once the later word stands."""
    rows = Upkeep.objects.filter(pk=name)
    if rows.update(facts=facts, version=F("version") + 1):
        return
    try:
        Upkeep.objects.create(name=name, facts=facts)
    except IntegrityError:
        rows.update(facts=facts, version=F("version") + 1)
