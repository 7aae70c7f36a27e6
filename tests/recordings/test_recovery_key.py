"""The key in the safe: with the password forgotten it opens all that was recorded, by a new password."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from lucid_sessions import archive
from lucid_sessions.errors import Refused
from lucid_sessions.recordings import installation, verification
from lucid_sessions.recordings.installation import Installation
from tests.recordings.archived import sealed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def forgotten(world: Installation, settings: Any) -> Iterator[Installation]:
    """Nobody knows the password any more; another one is set."""
    settings.ENCRYPTION_PASSWORD, settings.ENCRYPTION_SALT = "a new password", "a new salt"
    installation.identity.cache_clear()
    yield world
    installation.identity.cache_clear()


def _recover(text: str, monkeypatch: pytest.MonkeyPatch, *, code: int) -> tuple[str, str]:
    said, complained = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(SystemExit) as ended:
        call_command("keys", "recover", stdout=said, stderr=complained)
    assert ended.value.code == code, complained.getvalue()
    return said.getvalue(), complained.getvalue()


def test_the_recovery_key_gives_the_recordings_a_new_password(
    forgotten: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sealed(forgotten)
    with pytest.raises(Refused, match="is wrong"):
        verification.verify(session, deep=True)
    kept = forgotten.keys_root / "recovery" / "recovery.key"
    text = kept.read_text()
    kept.unlink()  # it was in a safe
    said, _ = _recover(text + "\n", monkeypatch, code=0)
    assert "open all recordings" in said
    report = verification.verify(session, deep=True)
    assert (report.sound, report.complete, report.checked) == (True, True, 2)


def test_what_is_no_key_of_this_installation_changes_nothing(
    forgotten: Installation, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def slots() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (forgotten.keys_root / "slots").iterdir()}

    before = slots()
    other = archive.Identity.generate().private_bytes.hex()
    assert "opens nothing here" in _recover(other, monkeypatch, code=2)[1]
    for text in ("", "no key", other[:-2]):
        assert "has no recovery key" in _recover(text, monkeypatch, code=2)[1]
    settings.ENCRYPTION_PASSWORD = ""
    own = (forgotten.keys_root / "recovery" / "recovery.key").read_text()
    assert "ENCRYPTION_PASSWORD" in _recover(own, monkeypatch, code=2)[1]
    assert slots() == before
