"""Each service's volume gets the public keys and the one private key that it needs."""

import stat
import sys
from pathlib import Path

import pytest

from lucid_sessions.recordings import keyring
from tests.deploy.parts import DEPLOY, PORTS, run, said

PRIVATE = {
    "session-api": {"creator.key"},
    "pipeline-manager": {"log.key"},
    "session-recorder": {"recorder.key"},
    "chunk-processor": {"writer.key"},
    "session-storage": {"webhook.key"},
}


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("keys")
    keyring.create(home / "all", origin="sessions.test/log", password="correct horse", salt="battery staple")
    _share(home)
    return home / "shares"


def _share(home: Path) -> None:
    ended = run(sys.executable, DEPLOY / "docker/share_keys.py", home / "all", home / "shares")
    assert ended.returncode == 0, said(ended)


@pytest.mark.parametrize("name", sorted(PORTS))
def test_a_service_gets_its_private_key_and_no_other(name: str, shares: Path) -> None:
    assert {path.name for path in (shares / name).rglob("*.key")} == PRIVATE[name]


def test_only_the_api_gets_the_slot_that_the_password_opens(shares: Path) -> None:
    assert {path.relative_to(shares).parts[0] for path in shares.rglob("*.lsk")} == {"session-api"}


def test_the_recovery_key_is_given_to_nobody(shares: Path) -> None:
    assert list(shares.rglob("recovery*")) == []


def test_the_shares_are_keyrings_that_work(shares: Path) -> None:
    assert keyring.Keyring(shares / "chunk-processor").writer.key_id
    assert keyring.Keyring(shares / "pipeline-manager").log_key.vkey
    assert keyring.Keyring(shares / "session-api").creator.public
    assert keyring.Keyring(shares / "session-storage").recipients


def test_the_api_alone_can_unlock(shares: Path) -> None:
    assert keyring.Keyring(shares / "session-api").unlock("correct horse", "battery staple")


def test_a_second_run_renews_the_shares_and_keeps_the_sealers_pin(shares: Path) -> None:
    pin = shares / "pipeline-manager/private/log.pin"
    pin.write_text("the last checkpoint signed")
    _share(shares.parent)
    assert pin.read_text() == "the last checkpoint signed"


def test_a_key_is_readable_by_its_owner_only(shares: Path) -> None:
    key = shares / "chunk-processor/private/writer.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o400


def test_keys_that_are_not_there_are_named(tmp_path: Path) -> None:
    ended = run(sys.executable, DEPLOY / "docker/share_keys.py", tmp_path, tmp_path / "shares")
    assert ended.returncode == 1
    assert "repository.json is not there: run `manage.py keys init` first" in ended.stderr
