"""Making a bundle needs room where the bundle goes and nowhere else, and leaves nothing beside it."""

import tempfile
from pathlib import Path

import pytest

from lucid_sessions.errors import Refused, Retryable
from lucid_sessions.recordings import evidence
from lucid_sessions.recordings.installation import Installation
from tests.recordings.archived import sealed

pytestmark = pytest.mark.django_db(transaction=True)

MEDIA = frozenset({"media"})


@pytest.fixture
def no_room_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In production /tmp is memory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))


def test_the_film_is_made_where_the_bundle_goes(
    world: Installation, tmp_path: Path, no_room_elsewhere: None
) -> None:
    place, seen = tmp_path / "place", set[Path]()
    place.mkdir()
    evidence.write(
        sealed(world), place / "one.zip", disclose=MEDIA, passed=lambda: seen.update(place.rglob("*.mp4*"))
    )
    assert len({path.parent for path in seen}) == 1
    assert [path.name for path in place.iterdir()] == ["one.zip"]


def test_a_bundle_that_comes_to_nothing_leaves_nothing(world: Installation, tmp_path: Path) -> None:
    place, session, calls = tmp_path / "place", sealed(world), 0
    place.mkdir()

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:  # the film is made, the bundle is not
            raise Refused("nobody waits")

    with pytest.raises(Refused, match="nobody waits"):
        evidence.write(session, place / "one.zip", disclose=MEDIA, passed=fail)
    assert list(place.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_named(world: Installation, tmp_path: Path) -> None:
    with pytest.raises(Retryable, match=r"Could not write .*/gone/one\.zip"):
        evidence.write(sealed(world), tmp_path / "gone" / "one.zip", disclose=MEDIA)
