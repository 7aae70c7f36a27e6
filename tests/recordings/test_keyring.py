"""The installation's keys as files: what a killed `keys init` leaves is in nobody's way."""

from pathlib import Path

from lucid_sessions.recordings import keyring


def test_what_a_killed_init_left_keeps_nobody_from_unlocking(tmp_path: Path) -> None:
    _created(tmp_path)
    (left,) = (tmp_path / "slots").iterdir()
    left.rename(left.with_name(f"{'0' * 16}.lsk"))  # whichever is looked at first
    (tmp_path / "repository.json").unlink()  # it is written last
    ring = _created(tmp_path)
    assert ring.unlock("correct horse", "battery staple").recipient == ring.recipients[0]


def _created(root: Path) -> keyring.Keyring:
    return keyring.create(root, origin="sessions.test/log", password="correct horse", salt="battery staple")
