"""docker-compose.yml keeps the design's promises. No engine starts it here: docs/deployment.md says so."""

import json
import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from tests.deploy.parts import (
    DEPLOY,
    PORTS,
    ROOT,
    VARIABLE,
    WORKERS,
    compose,
    env_file,
    environment_of,
    filled,
    run,
    said,
    services,
    strings,
    tool,
)
from tests.programs import fetched

SUPPORT = (
    *("mongodb", "redis-broker", "redis-cache", "nginx"),
    *("prometheus", "alertmanager", "grafana", "cadvisor"),
)
ON_DEMAND = ("backup", "restore")
TO_TRY = ("demo-desktop", "anvil")
ONE_SHOTS = ("mongodb-init", "migrate", "keys-init", "keys-share", *ON_DEMAND)
LIMITS = {
    "session-api": (1.0, "1G"),
    "pipeline-manager": (2.0, "2G"),
    "session-recorder": (2.0, "2G"),
    "chunk-processor": (4.0, "4G"),
    "session-storage": (1.0, "1G"),
    "mongodb": (4.0, "8G"),
    "redis-broker": (1.0, "4G"),
    "redis-cache": (1.0, "4G"),
}


def test_it_follows_the_compose_specification() -> None:
    check = tool("check-jsonschema", package="requirements/test.txt")
    ended = run(check, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml")
    assert ended.returncode == 0, said(ended)


def test_compose_itself_reads_what_these_tests_read(tmp_path: Path) -> None:
    program = fetched("docker-compose")
    variables = env_file() | {"LUCID_LEDGER_ORIGIN": "sessions.test/log"}
    (tmp_path / "env").write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))
    options = ("--env-file", str(tmp_path / "env"), "--profile", "*", "config", "--format", "json")
    ended = run(program, *options, cwd=ROOT, env={"PATH": os.environ["PATH"]})
    assert ended.returncode == 0, said(ended)
    theirs = json.loads(ended.stdout)["services"]
    assert set(theirs) == set(services())
    for name, service in services().items():
        told = theirs[name].get("environment") or {}
        given = {key: str(value) for key, value in told.items() if value is not None}
        assert given == environment_of(service, variables=variables), name


def test_every_service_of_the_design_is_there() -> None:
    assert set(services()) == {*PORTS, "flower", *SUPPORT, *ONE_SHOTS, *TO_TRY}


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_is_hardened_and_limited(name: str) -> None:
    service = services()[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["deploy"]["resources"]["limits"]["cpus"]
    assert not service.get("privileged")
    assert "user" in service or name == "cadvisor"


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_the_limits_are_the_specifications(name: str) -> None:
    limits = services()[name]["deploy"]["resources"]["limits"]
    assert (float(limits["cpus"]), limits["memory"]) == LIMITS[name]


@pytest.mark.parametrize("name", sorted({*PORTS, "flower"}))
def test_our_services_run_as_nobody_and_say_how_they_are(name: str) -> None:
    service = services()[name]
    assert service["user"] == "65532:65532"
    kind, program, *_, code = service["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "/usr/bin/python3")
    assert f":{PORTS.get(name, 5555)}/" in code
    timings = {key: service["healthcheck"][key] for key in ("interval", "timeout", "retries", "start_period")}
    assert timings == {"interval": "30s", "timeout": "10s", "retries": 3, "start_period": "40s"}


def test_everything_that_stays_up_has_a_health_check() -> None:
    staying = {name: service for name, service in services().items() if name not in ONE_SHOTS}
    assert [name for name, service in staying.items() if "healthcheck" not in service] == []


@pytest.mark.parametrize("name", WORKERS)
def test_no_worker_gets_what_opens_recordings_or_signs_tokens(name: str) -> None:
    service = services()[name]
    assert [key for key in service["environment"] if key.startswith("ENCRYPTION_")] == []
    assert {"encryption_password", "encryption_salt", "jwt_secret_key", "secret_key"}.isdisjoint(
        service["secrets"]
    )
    assert service["environment"]["JWT_SECRET_KEY_FILE"] == "/run/secrets/worker_secret_key"
    assert not [mount for mount in service.get("volumes", []) if mount.startswith("keys-all:")]


def test_each_service_mounts_its_own_keys_only() -> None:
    for name in PORTS:
        keys = [mount for mount in services()[name]["volumes"] if mount.startswith("keys-")]
        assert [mount.split(":")[0] for mount in keys] == [f"keys-{name}"]


def test_what_one_service_hands_to_another_lies_on_a_volume_of_both() -> None:
    for name in ("session-api", "session-recorder"):
        assert services()[name]["environment"]["LUCID_TARGETS_PATH"] == "/targets"
        assert "desktop-passwords:/targets" in services()[name]["volumes"]
    # Exports are made and given out by the API's container alone, which has the password: decision 19.
    held = [name for name, one in services().items() if "results:/results" in one.get("volumes", ())]
    assert held == ["session-api"]
    assert services()["session-api"]["environment"]["LUCID_RESULTS_PATH"] == "/results"


def test_the_api_believes_nginx_about_addresses_and_nobody_else() -> None:
    trusted = services()["session-api"]["environment"]["LUCID_TRUSTED_PROXIES"]
    net = services()["nginx"]["networks"]["session-management-net"]
    assert trusted == net["ipv4_address"]
    (plan,) = compose()["networks"]["session-management-net"]["ipam"]["config"]
    given = {key: ip_network(filled(text, variables={})) for key, text in plan.items()}
    nginx = ip_address(filled(trusted, variables={}))
    assert nginx in given["subnet"]
    assert nginx not in given["ip_range"]
    assert given["ip_range"].subnet_of(given["subnet"])  # type: ignore[arg-type]


def test_only_the_storage_service_can_change_stored_blobs() -> None:
    writers = [
        name
        for name, service in services().items()
        for mount in service.get("volumes", [])
        if mount.startswith("chunk-storage:") and not mount.endswith(":ro")
    ]
    # keys-init makes the empty store, once, and ends.
    assert writers == ["session-storage", "keys-init", "restore"]


def test_the_keys_are_not_backed_up_beside_what_they_open() -> None:
    for whole in (compose(), yaml.safe_load((DEPLOY / "swarm/stack.yml").read_text(encoding="utf-8"))):
        held = {
            volume: [
                name
                for name, service in whole["services"].items()
                if volume in {mount.split(":")[0] for mount in service.get("volumes", ())}
            ]
            for volume in ("backups", "backup-keys")
        }
        assert held == {"backups": ["session-storage", *ON_DEMAND], "backup-keys": [*ON_DEMAND]}
        assert "backups:/backups:ro" in whole["services"]["session-storage"]["volumes"]
        for name in held["backups"]:
            told = environment_of(whole["services"][name], variables={"LUCID_LEDGER_ORIGIN": "test/log"})
            assert (told["LUCID_BACKUP_URL"], told["LUCID_BACKUP_KEYS"]) == ("/backups", "/backup-keys")


def test_the_spool_is_mounted_where_the_chain_needs_it() -> None:
    for name in ("session-recorder", "chunk-processor", "session-storage", "pipeline-manager"):
        assert "session-storage:/storage/sessions" in services()[name]["volumes"]


def test_the_stores_are_on_the_internal_network_only_and_publish_nothing() -> None:
    assert compose()["networks"]["session-db-net"]["internal"] is True
    for name in ("mongodb", "redis-broker", "redis-cache"):
        assert services()[name]["networks"] == ["session-db-net"]
        assert "ports" not in services()[name]


def test_only_nginx_is_reached_from_outside() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    outside = [
        name for name, ports in published.items() if any(not port.startswith("127.0.0.1:") for port in ports)
    ]
    assert outside == ["nginx"]


def test_the_chunk_processor_can_be_scaled() -> None:
    service = services()["chunk-processor"]
    assert {"container_name", "ports", "hostname"}.isdisjoint(service)


def test_services_wait_for_the_migration_and_their_keys() -> None:
    for name in PORTS:
        waits = services()[name]["depends_on"]
        for one_shot in ("migrate", "keys-share"):
            assert waits[one_shot]["condition"] == "service_completed_successfully"


def test_what_is_waited_for_exists_and_can_be_met() -> None:
    for service in services().values():
        for name, wish in service.get("depends_on", {}).items():
            wanted = services()[name]
            assert wish["condition"] != "service_healthy" or "healthcheck" in wanted
            assert wish["condition"] != "service_completed_successfully" or wanted["restart"] == "no"


def test_every_secret_volume_network_and_file_that_is_named_exists() -> None:
    whole = compose()
    for service in services().values():
        assert set(service.get("secrets", [])) <= set(whole["secrets"])
        assert set(service.get("networks", [])) <= set(whole["networks"])
        for source in (mount.split(":")[0] for mount in service.get("volumes", [])):
            # Paths from the root are the host's own, for cAdvisor.
            there = (ROOT / source).exists() if source.startswith("./") else source in whole["volumes"]
            assert there or source.startswith("/"), source


def test_a_file_named_in_the_environment_is_a_secret_of_that_service() -> None:
    for service in services().values():
        for value in service.get("environment", {}).values():
            if str(value).startswith("/run/secrets/"):
                assert Path(value).name in service["secrets"]


def test_every_image_that_is_ours_is_built_from_a_stage_of_the_dockerfile() -> None:
    stages = set(re.findall(r" AS (\w+)$", (DEPLOY / "docker/Dockerfile").read_text(), flags=re.M))
    built = {s["image"]: s["build"]["target"] for s in services().values() if "build" in s}
    ours = {"api", "pipeline", "recorder", "processor", "storage", "flower", "desktop"}
    assert set(built.values()) == ours <= stages
    ours = {s["image"] for s in services().values() if s["image"].startswith("lucid-")}
    assert ours == set(built)


def test_every_variable_that_compose_reads_is_in_the_example() -> None:
    read = {match["name"] for text in strings(compose()) for match in VARIABLE.finditer(text)}
    assert read <= set(env_file())


def test_stopping_leaves_time_to_close_what_is_open() -> None:
    for name in PORTS:
        assert int(services()[name]["stop_grace_period"].removesuffix("s")) >= 60


def test_what_is_called_for_does_not_start_by_itself_and_a_backup_opens_nothing() -> None:
    for name in ON_DEMAND:
        assert services()[name]["profiles"] == ["operations"]
    assert {"encryption_password", "jwt_secret_key"}.isdisjoint(services()["backup"]["secrets"])


def test_what_is_there_to_be_tried_runs_only_when_asked_for_and_publishes_nothing() -> None:
    assert [services()[name]["profiles"] for name in TO_TRY] == [["demo"], ["anvil"]]
    assert not [name for name in TO_TRY if "ports" in services()[name]]
