"""A session's keys lie in one file; those that earlier releases wrote one by one open for ever."""

from uuid import uuid4

import pytest

from lucid_sessions import archive
from lucid_sessions.errors import Refused, Tampered
from lucid_sessions.recordings import playback, session_keys
from lucid_sessions.recordings.installation import Installation

SESSION = uuid4()


@pytest.fixture
def statements(world: Installation) -> dict[str, archive.Statement]:
    return world.keys.new_session_keys(SESSION, ["screen", "thumb"])


def test_all_keys_of_a_session_lie_in_one_file(
    world: Installation, statements: dict[str, archive.Statement]
) -> None:
    (path,) = world.keys.sealed_keys(SESSION)
    assert path.name == "screen+thumb.keys"
    assert sorted(path.parent.iterdir()) == [path]
    assert set(session_keys.statements(path.parent)) == {one.to_bytes() for one in statements.values()}
    for statement in statements.values():
        opened = world.keys.session_identity(statement, by=playback.identity())
        assert opened.recipient.public == statement.public


def test_the_files_of_earlier_releases_open(
    world: Installation, statements: dict[str, archive.Statement]
) -> None:
    (path,) = world.keys.sealed_keys(SESSION)
    for one in session_keys.read(path):
        track = archive.Statement.from_bytes(one.statement).track
        (path.parent / f"{track}.statement").write_bytes(one.statement)
        for kid, key in one.sealed.items():
            (path.parent / f"{track}-{kid}.sealed").write_bytes(key)
    path.unlink()
    assert len(world.keys.sealed_keys(SESSION)) == 2 * len(world.keys.recipients)
    assert set(session_keys.statements(path.parent)) == {one.to_bytes() for one in statements.values()}
    for statement in statements.values():
        assert world.keys.session_identity(statement, by=playback.identity())


def test_a_key_of_another_pair_does_not_stand_in_for_one_that_is_gone(
    world: Installation, statements: dict[str, archive.Statement]
) -> None:
    world.keys.shred(SESSION)
    world.keys.new_session_keys(SESSION, ["screen", "thumb"])
    with pytest.raises(Refused, match="is not there"):
        world.keys.session_identity(statements["screen"], by=playback.identity())


def test_who_comes_second_to_make_the_keys_of_a_session_gets_those_of_the_first(
    world: Installation, statements: dict[str, archive.Statement]
) -> None:
    assert world.keys.new_session_keys(SESSION, ["screen", "thumb"]) == statements
    for statement in statements.values():
        assert world.keys.session_identity(statement, by=playback.identity())


def test_keys_that_are_there_are_taken_only_when_they_were_born_as_this_sessions(
    world: Installation, statements: dict[str, archive.Statement]
) -> None:
    (path,) = world.keys.sealed_keys(SESSION)
    other = uuid4()
    place = path.parent.with_name(str(other))
    place.mkdir()
    (place / path.name).write_bytes(path.read_bytes())
    with pytest.raises(Tampered, match=str(other)):
        world.keys.new_session_keys(other, ["screen", "thumb"])
    forged = [session_keys.Born(_changed(one.statement), one.sealed) for one in session_keys.read(path)]
    path.write_bytes(session_keys.to_bytes(forged))
    with pytest.raises(Tampered, match="signature"):
        world.keys.new_session_keys(SESSION, ["screen", "thumb"])


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "lucid/2 session keys"}', b"\xff"])
def test_a_file_that_is_none_of_ours_is_named(world: Installation, content: bytes) -> None:
    statement = world.keys.new_session_keys(SESSION, ["screen"])["screen"]
    (path,) = world.keys.sealed_keys(SESSION)
    path.write_bytes(content)
    with pytest.raises(Tampered, match=r"screen\.keys"):
        world.keys.session_identity(statement, by=playback.identity())


def test_shredding_takes_the_file(world: Installation, statements: dict[str, archive.Statement]) -> None:
    world.keys.shred(SESSION)
    assert world.keys.sealed_keys(SESSION) == []
    with pytest.raises(Refused, match="shredded"):
        world.keys.session_identity(statements["screen"], by=playback.identity())


def _changed(statement: bytes) -> bytes:
    return statement[:-1] + bytes([statement[-1] ^ 1])
