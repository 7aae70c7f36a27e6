"""What the seals of one session say together: each holds all that the one before it held.

A place (session, track, sequence) enters the log once and stays. So a later seal may know of more, and never
of less or of something else: whoever made it so has changed what was sealed.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from lucid_sessions.errors import Refused

from .proven import ProvenLog

Leaf = dict[str, Any]
# Session, track and sequence.
Place = tuple[str, str, int]


def place_of(leaf: Leaf) -> Place:
    """Where the leaf's chunk belongs."""
    return leaf["session"], leaf["track"], leaf["sequence"]


def departures(earlier: Iterable[Leaf], later: Iterable[Leaf]) -> Iterator[tuple[Leaf, str]]:
    """Each leaf of `earlier` that `later` has not, or has otherwise, and how to say that."""
    now = {place_of(leaf): leaf for leaf in later}
    for leaf in earlier:
        found = now.get(place_of(leaf))
        if found is None:
            yield leaf, "was sealed, and a later seal leaves it out"
        elif found != leaf:
            yield leaf, "was sealed with another blob than a later seal names"


def doubles(leaves: Iterable[Leaf]) -> Iterator[Leaf]:
    """Each leaf whose place another one before it has."""
    seen: set[Place] = set()
    for leaf in leaves:
        if place_of(leaf) in seen:
            yield leaf
        seen.add(place_of(leaf))


def contradictions(log: ProvenLog, session: str) -> Iterator[tuple[Leaf, str]]:
    """What is wrong with the seals of a session, taken together."""
    numbers = log.seals(session)
    sealed = log.seal_at(numbers[-1])[1]["leaves"] if numbers else []
    for leaf in doubles(sealed):
        yield leaf, "is sealed twice"
    told: set[Place] = set()
    for number in numbers[:-1]:
        for leaf, problem in departures(log.seal_at(number)[1]["leaves"], sealed):
            if place_of(leaf) not in told:
                yield leaf, problem
            told.add(place_of(leaf))


def require_growth(log: ProvenLog, newest: int, body: dict[str, Any]) -> None:
    """Refused unless a seal with this body holds what the seal at index `newest` held, its gaps too."""
    before = log.seal_at(newest)[1]
    if dropped := [gap for gap in before["gaps"] if gap not in body["gaps"]]:
        raise Refused(f"{len(dropped)} gaps that record {newest} sealed are gone: {dropped[0]['reason']}")
    lost = [leaf for leaf, _ in departures(before["leaves"], body["leaves"])]
    if lost:
        named = ", ".join(f"{leaf['track']} {leaf['sequence']}" for leaf in lost[:3])
        raise Refused(f"{len(lost)} chunks that record {newest} sealed are gone or others now: {named}")
