"""What the overlays and components make of the base."""

import json
import subprocess
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kustomized import Resource, named, rendered
from tests.deploy.parts import DEPLOY, PORTS, run, said, strings, tool
from tests.programs import fetched, needed
from tests.waiting import PATIENCE

K8S = DEPLOY / "k8s"
# Custom resources, whose types their projects publish; what matters is asked below, key by key, too.
CUSTOM = ("ScaledObject", "TriggerAuthentication", "ServiceMonitor")


@cache
def _overlay(name: str) -> list[Resource]:
    return rendered(K8S / "overlays" / name)


@cache
def _hosts() -> list[Resource]:
    return list(_component("recording-hosts"))


def _component(name: str) -> list[Resource]:
    files = [path for path in (K8S / "components" / name).glob("*.yaml") if path.name != "kustomization.yaml"]
    return [one for path in files for one in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)]


@pytest.mark.parametrize("name", ["dev", "production", "recording-hosts"])
def test_every_resource_follows_its_schema(name: str, tmp_path: Path) -> None:
    made = _hosts() if name == "recording-hosts" else _overlay(name)
    known = [one for one in made if one["kind"] not in CUSTOM]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(known))
    validate = tool("kubernetes-validate", package="requirements/test.txt")
    ended = run(validate, "--strict", "--quiet", tmp_path / "all.yaml")
    assert (ended.returncode, said(ended)) == (0, "")


def test_every_custom_resource_follows_its_projects_types() -> None:
    made = [one for name in ("dev", "production") for one in _overlay(name)] + _hosts()
    custom = [one for one in made if one["kind"] in CUSTOM]
    assert {one["kind"] for one in custom} == {*CUSTOM}
    assert _held_against_types(custom) == []


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("ScaledObject", {"scaleTargetRef": {"name": "x"}, "triggers": [{"type": "redis", "metadata": 7}]}),
        ("TriggerAuthentication", {"secretTargetRef": [{"parameter": "password", "name": "x"}]}),
        ("ServiceMonitor", {"selector": {}, "endpoints": [{"port": 8087}]}),
    ],
)
def test_a_custom_resource_that_does_not_is_refused(kind: str, spec: Any) -> None:
    (good, *_) = [one for one in [*_overlay("production"), *_hosts()] if one["kind"] == kind]
    (said,) = _held_against_types([good | {"spec": spec}])
    assert said.startswith(f"{good['apiVersion']} {kind} {good['metadata']['name']}: data/spec/")


def _held_against_types(resources: list[Resource]) -> list[str]:
    """What is wrong with them, by the types that KEDA and the Prometheus operator publish."""
    command = [needed("node", package="nodejs"), Path(__file__).with_name("kinds.mjs"), fetched("kinds")]
    ended = subprocess.run(
        command, input=json.dumps(resources), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.fixture(scope="module")
def with_hosts(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """Production with the component recording-hosts added."""
    tmp_path = tmp_path_factory.mktemp("overlay")
    plan = yaml.safe_load((K8S / "overlays/production/kustomization.yaml").read_text())
    base = Path("../../k8s")
    for name in ("base", "components"):
        (tmp_path / "k8s" / name).parent.mkdir(exist_ok=True)
        _copy(K8S / name, into=tmp_path / "k8s" / name)
    plan["resources"] = [str(base / "base")]
    plan["components"] = [
        str(base / "components" / name) for name in ("keda", "monitoring", "recording-hosts")
    ]
    (tmp_path / "mine/production").mkdir(parents=True)
    (tmp_path / "mine/production/kustomization.yaml").write_text(yaml.safe_dump(plan))
    return rendered(tmp_path / "mine/production")


def test_the_hosts_can_be_added_to_production(with_hosts: list[Resource]) -> None:
    assert named(with_hosts, "ConfigMap")["session-config"]["data"]["LUCID_QUEUE_PER_SPOOL"] == "true"
    assert {"session-recorder", "recording-host"} == set(named(with_hosts, "StatefulSet"))


def test_with_a_queue_for_each_spool_processors_follow_all_of_them(with_hosts: list[Resource]) -> None:
    scaled = named(with_hosts, "ScaledObject")["chunk-processor"]
    # A list of Redis by the stage's own name stays empty; the figure counts the queues of all spools.
    assert {one["type"] for one in scaled["spec"]["triggers"]} == {"prometheus"}
    asked = [one["metadata"] for one in scaled["spec"]["triggers"]]
    figure = 'max(pipeline_queue_depth{queue="%s"})'
    assert [one["query"] for one in asked] == [figure % "compress", figure % "encrypt"]
    by_lists = named(_overlay("production"), "ScaledObject")["chunk-processor"]["spec"]["triggers"]
    assert [one["threshold"] for one in asked] == [one["metadata"]["listLength"] for one in by_lists]
    hosts = named(with_hosts, "ScaledObject")["recording-host"]["spec"]["triggers"]
    assert {one["serverAddress"] for one in asked} == {hosts[0]["metadata"]["serverAddress"]}
    assert _held_against_types([scaled]) == []


def test_before_a_restore_in_a_cluster_nothing_scales_anything_up_again() -> None:
    guide = (DEPLOY.parent / "docs/deployment.md").read_text(encoding="utf-8")
    block = guide.split("### After a loss in a cluster")[1].split("```sh\n")[1].split("```")[0]
    lines = block.splitlines()
    everyone = "kubectl -n lucid-sessions annotate scaledobject --all"
    pause = "autoscaling.keda.sh/paused-replicas"
    paused, freed = lines.index(f"{everyone} --overwrite {pause}=0"), lines.index(f"{everyone} {pause}-")
    scaled = [number for number, line in enumerate(lines) if "--replicas=0" in line]
    gone = next(number for number, line in enumerate(lines) if "wait --for=delete pod" in line)
    restored = next(number for number, line in enumerate(lines) if "wait --for=condition=complete" in line)
    assert paused < scaled[0] <= scaled[-1] < gone < restored < freed


def _copy(source: Path, *, into: Path) -> None:
    for path in source.rglob("*.yaml"):
        target = into / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())


@pytest.mark.parametrize("name", ["dev", "production"])
def test_an_overlay_has_every_service_and_no_secret(name: str) -> None:
    made = _overlay(name)
    assert {*PORTS, "flower"} == {*named(made, "Deployment"), *named(made, "StatefulSet")}
    assert named(made, "Secret") == {}


def test_production_takes_every_image_from_the_registry_by_one_tag() -> None:
    images = [image for one in _overlay("production") for image in _images(one)]
    assert len(images) >= 9
    assert [image for image in images if not image.startswith("registry.lucid.example/lucid-")] == []
    assert {image.rpartition(":")[2] for image in images} == {"0.1.0"}


def _images(part: Any) -> list[str]:
    if isinstance(part, list):
        return [image for one in part for image in _images(one)]
    if not isinstance(part, dict):
        return []
    own = [part["image"]] if isinstance(part.get("image"), str) else []
    return own + [image for one in part.values() for image in _images(one)]


def test_production_names_the_network_of_its_proxies() -> None:
    told = named(_overlay("production"), "ConfigMap")["session-config"]["data"]["LUCID_TRUSTED_PROXIES"]
    assert ip_network(told)


def test_dev_fits_on_one_node() -> None:
    made = _overlay("dev")
    pods = [*named(made, "Deployment").values(), *named(made, "StatefulSet").values()]
    requests = [pod["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] for pod in pods]
    assert {one["cpu"] for one in requests} == {"100m"}
    claims = named(made, "PersistentVolumeClaim").values()
    assert [one for one in claims if one["spec"]["accessModes"] != ["ReadWriteOnce"]] == []


def test_processors_follow_the_two_queues_that_they_serve() -> None:
    scaled = named(_overlay("production"), "ScaledObject")["chunk-processor"]["spec"]
    assert {one["metadata"]["listName"] for one in scaled["triggers"]} == {"compress", "encrypt"}
    assert scaled["scaleTargetRef"]["name"] in named(_overlay("production"), "Deployment")
    # An autoscaler of our own beside KEDA's would fight with it.
    autoscaled = named(_overlay("production"), "HorizontalPodAutoscaler").values()
    assert {one["spec"]["scaleTargetRef"]["name"] for one in autoscaled} == {"session-api"}


def test_nothing_takes_a_recorder_away_by_itself() -> None:
    scaled = named(_hosts(), "ScaledObject")["recording-host"]["spec"]
    behaviour = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behaviour["scaleDown"] == {"selectPolicy": "Disabled"}
    assert scaled["minReplicaCount"] >= 1
    assert named(_hosts(), "PodDisruptionBudget")["recording-host"]["spec"]["maxUnavailable"] == 0
    for sets in (named(_hosts(), "StatefulSet"), named(_overlay("production"), "StatefulSet")):
        for one in sets.values():
            assert one["spec"]["updateStrategy"] == {"type": "OnDelete"}
            assert one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 4


def test_a_recording_host_keeps_its_spool_and_serves_it() -> None:
    host = named(_hosts(), "StatefulSet")["recording-host"]["spec"]
    assert [one["metadata"]["name"] for one in host["volumeClaimTemplates"]] == ["spool"]
    pod = host["template"]["spec"]
    assert {one["name"] for one in pod["containers"]} == {
        "session-recorder",
        "chunk-processor",
        "session-storage",
    }
    volumes = {one["name"] for one in pod["volumes"]} | {"spool"}
    for container in pod["containers"]:
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert mounts["spool"] == "/storage/sessions"
        assert set(mounts) <= volumes
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not [text for text in strings(pod) if "encryption_password" in text or "jwt_secret" in text]


def test_prometheus_finds_every_service_by_the_name_that_the_alerts_ask_for() -> None:
    made = _overlay("production")
    monitor = named(made, "ServiceMonitor")["lucid-sessions"]["spec"]
    (wanted,) = monitor["selector"]["matchExpressions"]
    assert set(PORTS) <= set(wanted["values"])
    assert monitor["jobLabel"] == "app"
    ports = {one["port"] for one in monitor["endpoints"]}
    for name in PORTS:
        service = named(made, "Service")[name]
        assert service["metadata"]["labels"]["app"] == name
        assert {one["name"] for one in service["spec"]["ports"]} <= ports


def test_the_alert_rules_become_a_rule_of_the_operator() -> None:
    ended = run(DEPLOY / "scripts/prometheus-rule")
    assert ended.returncode == 0, said(ended)
    made = yaml.safe_load(ended.stdout)
    files = sorted((DEPLOY / "prometheus/alerts").glob("*.yml"))
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    assert (made["kind"], made["spec"]["groups"]) == ("PrometheusRule", groups)


def test_a_backup_has_all_that_a_restore_needs_and_changes_nothing() -> None:
    jobs = named(_overlay("production"), "CronJob")
    assert set(jobs) == {"backup", "backup-check", "maintain", "restore"}
    for job in (jobs["backup"], jobs["backup-check"]):
        (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        mounts = {one["mountPath"]: one.get("readOnly", False) for one in container["volumeMounts"]}
        for path in ("/keys/private", "/keys/slots", "/keys/sessions", "/ledger", "/storage/chunks"):
            assert mounts[path] is True
        assert mounts["/backups"] is mounts["/backup-keys"] is False


def test_the_keys_are_backed_up_where_nobody_else_looks() -> None:
    made = _overlay("production")
    held = [
        one["metadata"]["name"]
        for one in made
        if {"persistentVolumeClaim": {"claimName": "backup-keys"}, "name": "backup-keys"} in _volumes(one)
    ]
    assert held == ["backup", "backup-check", "restore"]
    assert named(made, "ConfigMap")["session-config"]["data"]["LUCID_BACKUP_KEYS"] == "/backup-keys"


def test_a_restore_is_called_for_and_finds_every_key_and_the_sealers_pin() -> None:
    job = named(_overlay("production"), "CronJob")["restore"]["spec"]
    assert job["suspend"] is True
    (container,) = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    assert mounts["/keys/private"]["name"] == "log-pin"
    keys = {one["subPath"] for path, one in mounts.items() if path.startswith("/keys/private/")}
    assert keys == {f"{name}.key" for name in ("creator", "writer", "log", "recorder", "webhook", "backup")}
    for path in ("/keys/sessions", "/ledger", "/storage/chunks"):
        assert not mounts[path].get("readOnly")


def _volumes(resource: Resource) -> list[Any]:
    spec = resource.get("spec", {})
    spec = spec.get("jobTemplate", {"spec": spec})["spec"]
    return list(spec.get("template", {}).get("spec", {}).get("volumes", []))


def test_flower_is_reached_by_nobody() -> None:
    assert "flower" not in named(_overlay("production"), "Service")
    for policy in named(_overlay("production"), "NetworkPolicy").values():
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                assert not port["port"] <= 5555 <= port.get("endPort", port["port"])
