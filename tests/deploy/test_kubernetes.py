"""The Kubernetes base by the API's schemas, and by what the design promises."""

from functools import cache
from typing import Any

import pytest
import yaml

from tests.deploy.parts import DEPLOY, PORTS, run, said, tool

BASE = DEPLOY / "k8s/base"
STORES = {"mongodb_url", "redis_url", "cache_url", "s3_access_key_id", "s3_secret_access_key"}
FILES = sorted(path for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")


@cache
def _all() -> tuple[dict[str, Any], ...]:
    return tuple(one for path in FILES for one in yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _documents(kind: str = "") -> list[dict[str, Any]]:
    return [one for one in _all() if kind in ("", one["kind"])]


def _workload(name: str) -> dict[str, Any]:
    kinds = ("Deployment", "StatefulSet")
    (found,) = (one for one in _documents() if one["kind"] in kinds and one["metadata"]["name"] == name)
    return found


def _pod(name: str) -> dict[str, Any]:
    return dict(_workload(name)["spec"]["template"]["spec"])


def _secret_items(name: str) -> set[str]:
    (volume,) = (one for one in _pod(name)["volumes"] if one["name"] == "secrets")
    return {item["key"] for item in volume["secret"]["items"]}


def test_every_resource_follows_its_schema() -> None:
    validate = tool("kubernetes-validate", package="kubernetes-validate (PyPI)")
    ended = run(validate, "--strict", "--quiet", *FILES)
    assert ended.returncode == 0, said(ended)


def test_every_file_is_part_of_the_base() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in FILES]


@pytest.mark.parametrize("name", sorted(PORTS))
def test_a_service_is_probed_on_its_port_with_a_host_that_django_allows(name: str) -> None:
    (container,) = _pod(name)["containers"]
    for kind, path in (("startup", "startup"), ("liveness", "live"), ("readiness", "ready")):
        asked = container[f"{kind}Probe"]["httpGet"]
        assert (asked["path"], asked["port"]) == (f"/health/{path}", PORTS[name])
        assert {"name": "Host", "value": "localhost"} in asked["httpHeaders"]
    timings = [
        container["livenessProbe"][key] for key in ("initialDelaySeconds", "periodSeconds", "timeoutSeconds")
    ]
    assert timings == [40, 30, 10]


@pytest.mark.parametrize("name", sorted(PORTS))
def test_a_pod_is_hardened_and_limited(name: str) -> None:
    pod = _pod(name)
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}


@pytest.mark.parametrize("name", sorted(set(PORTS) - {"session-api"}))
def test_no_worker_gets_what_opens_recordings_or_signs_tokens(name: str) -> None:
    assert _secret_items(name) == STORES | {"worker_secret_key"}


def test_private_keys_are_mounted_where_they_are_needed_and_nowhere_else() -> None:
    mounted = {
        name: {one["secret"]["secretName"] for one in _pod(name)["volumes"] if "secret" in one}
        - {"session-secrets"}
        for name in PORTS
    }
    assert mounted == {
        "session-api": {"keys-session-api", "keys-slots"},
        "pipeline-manager": {"keys-pipeline-manager"},
        "session-recorder": {"keys-session-recorder"},
        "chunk-processor": {"keys-chunk-processor"},
        "session-storage": {"keys-session-storage"},
    }


@pytest.mark.parametrize("name", sorted(PORTS))
def test_every_volume_that_is_mounted_exists(name: str) -> None:
    pod = _pod(name)
    volumes = {volume["name"] for volume in pod["volumes"]}
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes
    assert claims <= {one["metadata"]["name"] for one in _documents("PersistentVolumeClaim")}


def test_what_one_service_hands_to_another_lies_on_a_volume_of_both() -> None:
    data = next(one["data"] for one in _documents("ConfigMap"))
    for variable, path in (("LUCID_TARGETS_PATH", "/targets"), ("LUCID_RESULTS_PATH", "/results")):
        assert data[variable] == path
    mounts = {
        name: {m["mountPath"]: m["name"] for m in _pod(name)["containers"][0]["volumeMounts"]}
        for name in PORTS
    }
    assert {name for name in PORTS if mounts[name].get("/targets") == "desktop-passwords"} == {
        "session-api",
        "session-recorder",
    }
    assert {name for name in PORTS if mounts[name].get("/results") == "results"} >= {"session-api"}


def test_no_secret_is_in_the_files() -> None:
    assert _documents("Secret") == []


def test_two_pipeline_managers_never_run_at_once() -> None:
    spec = _workload("pipeline-manager")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_a_recorder_keeps_its_name_and_is_not_evicted() -> None:
    assert _workload("session-recorder")["kind"] == "StatefulSet"
    budgets = {
        one["metadata"]["name"]: one["spec"]["maxUnavailable"] for one in _documents("PodDisruptionBudget")
    }
    assert budgets["session-recorder"] == 0
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in _documents("HorizontalPodAutoscaler")}
    assert scaled == {"session-api"}


def test_the_network_is_closed_unless_opened() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in _documents("NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
