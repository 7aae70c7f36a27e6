"""Of two pins of the log a restore believes the one that says more."""

import sys
from pathlib import Path

import pytest

from tests.deploy.parts import DEPLOY, run


def _pin(path: Path, origin: str, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{origin}\n{size}\nroot\n")
    return path


@pytest.mark.parametrize(
    ("sealers", "own", "told"),
    [
        (("a", 5), None, ("a", 5)),
        (("a", 5), ("a", 3), ("a", 5)),
        (("a", 3), ("a", 5), ("a", 5)),
        # A restore began another log, and died before it could say so.
        (("a", 5), ("b", 0), ("b", 0)),
    ],
)
def test_the_sealer_has_it_afterwards_and_nobody_else(
    sealers: tuple[str, int], own: tuple[str, int] | None, told: tuple[str, int], tmp_path: Path
) -> None:
    pin = _pin(tmp_path / "sealer/private/log.pin", *sealers)
    keys = tmp_path / "keys/private/log.pin"
    if own:
        _pin(keys, *own)
    # Refused by the command itself: nothing is restored, and the pins are handled all the same.
    environment = {"LUCID_KEYS_PATH": str(tmp_path / "keys"), "LUCID_HOME": str(tmp_path)}
    run(sys.executable, DEPLOY / "docker/restore.py", tmp_path / "sealer", "--nonsense", env=environment)
    assert pin.read_text().splitlines()[:2] == [told[0], str(told[1])]
    assert not keys.exists()
