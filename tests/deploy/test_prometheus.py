"""Alerts and dashboards by Prometheus's own checker, and against the list of metrics that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.parts import DEPLOY, PORTS, ROOT, run, said, services, tool

PROMETHEUS = DEPLOY / "prometheus"
RULES = sorted((PROMETHEUS / "alerts").glob("*.yml"))
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))

# DESIGN 7, the two that the alerts on gaps and backups need, and those of cAdvisor and Prometheus.
HISTOGRAMS = (
    *("session_duration_seconds", "chunk_processing_duration_seconds", "chunk_size_bytes"),
    *("api_request_duration_seconds", "pipeline_stage_duration_seconds"),
)
METRICS = {
    *("sessions_created_total", "sessions_active", "chunks_processed_total", "storage_used_bytes"),
    *("storage_operations_total", "api_requests_total", "pipeline_errors_total", "pipeline_queue_depth"),
    *(
        "pipeline_oldest_unanchored_seconds",
        "chunks_quarantined",
        "ledger_checkpoint_age_seconds",
        "ledger_unvouched_seconds",
        "api_rate_limit_unavailable_total",
        "webhook_endpoints_failing",
        "scrub_oldest_unverified_seconds",
        "jobs_oldest_pending_seconds",
    ),
    *("recorder_dropped_frames_total", "recorder_gaps_total", "backup_last_success_timestamp_seconds"),
    *("backup_interval_seconds", "retention_suspended", "shredding_oldest_seconds"),
    *("up", "alertmanager_notifications_failed_total", "container_cpu_usage_seconds_total"),
    *("container_memory_working_set_bytes", "container_spec_memory_limit_bytes"),
    *("container_spec_cpu_quota", "container_spec_cpu_period"),
    *(f"{name}_bucket" for name in HISTOGRAMS),
}
SPECIFIED = {
    *("SessionAPIDown", "PipelineManagerDown", "HighAPILatency", "LowChunkProcessingRate", "StorageSpaceLow"),
    *("StorageSpaceCritical", "HighPipelineErrorRate", "CriticalPipelineErrorRate", "HighMemoryUsage"),
    "HighCPUUsage",
}
FUNCTIONS = {"histogram_quantile", "min_over_time", "group_left", "label_replace"}


def _alerts() -> list[dict[str, Any]]:
    groups = (group for path in RULES for group in yaml.safe_load(path.read_text())["groups"])
    return [rule for group in groups for rule in group["rules"]]


def _panels() -> list[dict[str, Any]]:
    return [panel for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]]


def _expressions() -> list[str]:
    return [target["expr"] for panel in _panels() for target in panel["targets"]]


def _promtool() -> str:
    return tool("promtool", package="prometheus")


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    ended = run(_promtool(), "check", "config", PROMETHEUS / "prometheus.yml")
    assert ended.returncode == 0, said(ended)
    ended = run(_promtool(), "check", "rules", *RULES)
    assert ended.returncode == 0, said(ended)


def test_every_alert_fires_and_stays_silent_as_its_cases_say() -> None:
    ended = run(_promtool(), "test", "rules", *CASES)
    assert ended.returncode == 0, said(ended)


def test_alertmanager_accepts_its_configuration() -> None:
    amtool = tool("amtool", package="prometheus-alertmanager")
    ended = run(amtool, "check-config", DEPLOY / "alertmanager/alertmanager.yml")
    assert ended.returncode == 0, said(ended)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [
        case
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    names = {rule["alert"] for rule in _alerts()}
    assert (names - fires, names - silent) == (set(), set())


def test_the_specifications_alerts_are_all_there() -> None:
    assert {rule["alert"] for rule in _alerts()} >= SPECIFIED


@pytest.mark.parametrize("rule", _alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_what_to_do(rule: dict[str, Any]) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), flags=re.M)
    assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert rule["labels"]["severity"] in {"warning", "critical"}


def test_every_expression_of_the_dashboards_parses(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(_expressions())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    ended = run(_promtool(), "check", "rules", tmp_path / "panels.yml")
    assert ended.returncode == 0, said(ended)
    assert f"{len(rules)} rules found" in said(ended)


@pytest.mark.parametrize("text", [*_expressions(), *(rule["expr"] for rule in _alerts())])
def test_an_expression_asks_for_metrics_that_exist(text: str) -> None:
    without_labels = re.sub(r"\b(?:by|on)\s*\([^)]*\)|\{[^}]*\}", "", text)
    named = set(re.findall(r"\b(?:up|[a-z]+(?:_[a-z]+)+)\b", without_labels)) - FUNCTIONS
    assert named <= METRICS


def test_the_specifications_panels_are_all_there() -> None:
    wanted = {
        *("Active Sessions", "Session Creation Rate", "Chunk Processing Rate", "Storage Usage"),
        *("API Latency (p95)", "Error Rate"),
    }
    assert {panel["title"] for panel in _panels()} >= wanted


def test_dashboards_use_the_datasource_that_is_provisioned() -> None:
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert {panel["datasource"]["uid"] for panel in _panels()} == {source["datasources"][0]["uid"]}
    assert source["datasources"][0]["url"] == "http://prometheus:9090"


def test_dashboards_lie_where_grafana_looks_for_them() -> None:
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/lucid.yml").read_text())[
        "providers"
    ][0]
    mounted = [mount.split(":")[1] for mount in services()["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    stack = yaml.safe_load((DEPLOY / "swarm/stack.yml").read_text())["services"]["grafana"]["configs"]
    boards = {
        Path(one["target"]).name for one in stack if one["target"].startswith(provider["options"]["path"])
    }
    assert boards == {path.name for path in DASHBOARDS}


def test_every_service_is_scraped_on_its_port() -> None:
    jobs = {
        job["job_name"]: job
        for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    }
    for name, port in PORTS.items():
        job = jobs[name]
        assert job.get("dns_sd_configs", [{}])[0].get("port") == port or job["static_configs"] == [
            {"targets": [f"{name}:{port}"]}
        ]
