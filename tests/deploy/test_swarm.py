"""The Swarm file: what Swarm takes, and no secret in more hands than under Compose."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.parts import DEPLOY, PORTS, VARIABLE, WORKERS, env_file, run, said, services, strings, tool
from tests.programs import fetched

STACK = DEPLOY / "swarm/stack.yml"
ON_DEMAND = ("backup", "restore")


@cache
def _stack() -> dict[str, Any]:
    return dict(yaml.safe_load(STACK.read_text(encoding="utf-8")))


def test_it_follows_the_compose_specification() -> None:
    check = tool("check-jsonschema", package="requirements/test.txt")
    ended = run(check, "--builtin-schema", "vendor.compose-spec", STACK)
    assert ended.returncode == 0, said(ended)


def test_docker_itself_takes_it() -> None:
    given = env_file() | {"PATH": os.environ["PATH"], "LUCID_LEDGER_ORIGIN": "sessions.test/log"}
    ended = run(fetched("docker"), "stack", "config", "-c", STACK, env=given)
    assert ended.returncode == 0, said(ended)


def test_nothing_is_there_that_swarm_refuses_or_ignores() -> None:
    for service in _stack()["services"].values():
        assert {"build", "depends_on", "container_name", "restart", "security_opt"}.isdisjoint(service)
        assert service["deploy"]["resources"]["limits"]["memory"]
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True


def test_the_api_is_replaced_one_by_one_and_rolled_back_when_it_fails() -> None:
    deploy = _stack()["services"]["session-api"]["deploy"]
    assert deploy["replicas"] == 3
    update = deploy["update_config"]
    assert (update["parallelism"], update["delay"], update["failure_action"]) == (1, "10s", "rollback")


@pytest.mark.parametrize("name", [*PORTS, "flower", "mongodb-init", "migrate", "keys-init", *ON_DEMAND])
def test_a_service_has_the_secrets_that_it_has_under_compose(name: str) -> None:
    assert _stack()["services"][name]["secrets"] == services()[name]["secrets"]


@pytest.mark.parametrize("name", WORKERS)
def test_no_worker_gets_what_opens_recordings(name: str) -> None:
    environment = _stack()["services"][name]["environment"]
    assert [key for key in environment if key.startswith("ENCRYPTION_")] == []


@pytest.mark.parametrize("name", [*PORTS, "keys-init", "keys-share", *ON_DEMAND])
def test_a_service_mounts_what_it_mounts_under_compose(name: str) -> None:
    assert _stack()["services"][name]["volumes"] == services()[name]["volumes"]


def test_the_api_believes_the_network_of_the_proxy_about_addresses() -> None:
    (plan,) = _stack()["networks"]["session-management-net"]["ipam"]["config"]
    assert _stack()["services"]["session-api"]["environment"]["LUCID_TRUSTED_PROXIES"] == plan["subnet"]


def test_every_file_secret_volume_and_variable_that_is_named_exists() -> None:
    whole = _stack()
    assert [
        one for one in whole["configs"].values() if not (STACK.parent / Path(one["file"])).is_file()
    ] == []
    assert {match["name"] for text in strings(whole) for match in VARIABLE.finditer(text)} <= set(env_file())
    for service in whole["services"].values():
        assert set(service.get("secrets", [])) <= set(whole["secrets"])
        # Paths from the root are the node's own, for cAdvisor.
        sources = {mount.split(":")[0] for mount in service.get("volumes", []) if not mount.startswith("/")}
        assert sources <= set(whole["volumes"])
        assert {config["source"] for config in service.get("configs", [])} <= set(whole["configs"])


@pytest.mark.parametrize("name", ON_DEMAND)
def test_a_backup_and_a_restore_wait_until_they_are_called_for_and_then_run_once(name: str) -> None:
    service = _stack()["services"][name]
    assert (service["deploy"]["replicas"], service["deploy"]["restart_policy"]) == (0, {"condition": "none"})
    assert service["command"] == services()[name]["command"]


def test_the_same_watches_as_under_compose() -> None:
    stack = _stack()
    for name in ("prometheus", "alertmanager", "grafana", "cadvisor"):
        service = stack["services"][name]
        assert service["image"] == services()[name]["image"]
        assert service["command"] == services()[name]["command"] if "command" in service else True
    files = {config["file"] for config in stack["configs"].values()}
    shown = {f"../grafana/dashboards/{path.name}" for path in (DEPLOY / "grafana/dashboards").glob("*.json")}
    rules = {f"../prometheus/alerts/{path.name}" for path in (DEPLOY / "prometheus/alerts").glob("*.yml")}
    assert shown | rules <= files
