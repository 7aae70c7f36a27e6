from __future__ import annotations

from typing import Any

from tests.mongodb.project.shelf.models import Piece, Tape, User


def a_user(name: str = "alice", **facts: Any) -> User:
    return User.objects.create_user(name, **facts)


def a_tape(title: str = "deploy db-7", **facts: Any) -> Tape:
    return Tape.objects.create(title=title, **facts)


def pieces_of(tape: Tape, count: int, **facts: Any) -> list[Piece]:
    return Piece.objects.bulk_create([Piece(tape=tape, sequence=number, **facts) for number in range(count)])
