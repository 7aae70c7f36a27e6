"""A real Prometheus, with the deployment's configuration and rules, scrapes the services.

Changed in the copy that runs here: names of containers become 127.0.0.1 and their ports those of the
processes; seconds stand for minutes of waiting. What is no service of ours (cAdvisor, Alertmanager, Flower)
is not there, so its figures are not asked for.
"""

import contextlib
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lucid_sessions.recordings.lifecycle import STAGES
from tests.deploy.parts import DEPLOY, ONE_AT_A_TIME, PORTS, system_tool
from tests.deploy.serving import await_ready, started
from tests.deploy.stack import Standing
from tests.ports import free_port
from tests.waiting import PATIENCE, until

pytestmark = ONE_AT_A_TIME

# Not yet counted after one good recording: an error, a gap, a backup, a verification by the scrubber.
RARE = (
    "pipeline_errors_total",
    "recorder_gaps_total",
    "backup_last_success",
    "scrub_oldest",
    "ledger_unvouched",
)
OTHERS = ("container_", "alertmanager_")


def _panels() -> list[str]:
    boards = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
    panels = [panel for board in boards for panel in json.loads(board.read_text())["panels"]]
    return [target["expr"] for panel in panels for target in panel["targets"]]


class Prometheus:
    """One that answers on a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def ask(self, what: str, **fields: str) -> Any:
        """The `data` of an answer of its HTTP interface."""
        address = f"{self._address}/api/v1/{what}?{urllib.parse.urlencode(fields)}"
        with urllib.request.urlopen(address, timeout=PATIENCE) as reply:  # noqa: S310 - ours, on loopback
            return json.load(reply)["data"]

    def series(self, expression: str) -> list[Any]:
        """What an expression comes to now."""
        return list(self.ask("query", query=expression)["result"])

    def sees(self, services: int) -> bool:
        """Whether so many of the services were scraped often enough for a rate."""
        with contextlib.suppress(OSError):
            return len(self.series("count_over_time(up[1m]) >= 4 and up == 1")) >= services
        return False


def _configuration(into: Path, *, standing: Standing, port: int) -> Path:
    (into / "alerts").mkdir()
    for rules in (DEPLOY / "prometheus/alerts").glob("*.yml"):
        often = rules.read_text().replace("interval: 30s", "interval: 1s")
        (into / "alerts" / rules.name).write_text(often)
    whole = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    whole["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"}
    del whole["alerting"]
    jobs = {job["job_name"]: job for job in whole["scrape_configs"]}
    targets = {name: standing.ports[name] for name in PORTS} | {"prometheus": port}
    for name, number in targets.items():
        jobs[name].pop("dns_sd_configs", None)
        jobs[name]["static_configs"] = [{"targets": [f"127.0.0.1:{number}"]}]
    whole["scrape_configs"] = [jobs[name] for name in targets]
    (into / "prometheus.yml").write_text(yaml.safe_dump(whole))
    return into / "prometheus.yml"


@pytest.fixture(scope="module")
def prometheus(
    recorded: dict[str, object], standing: Standing, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    assert recorded["status"] == "completed"
    assert standing.answer("session-api", "/api/v1/sessions")[0] == 401
    home, port = tmp_path_factory.mktemp("prometheus"), free_port()
    file = _configuration(home, standing=standing, port=port)
    command = (
        system_tool("prometheus", package="prometheus"),
        *(f"--config.file={file}", f"--storage.tsdb.path={home}/data", "--log.level=warn"),
        f"--web.listen-address=127.0.0.1:{port}",
    )
    server = Prometheus(port)
    with started(*command, log=home / "log") as program:
        await_ready(lambda: server.sees(len(PORTS) + 1), program=program, log=home / "log")
        yield server


def test_every_service_is_up_for_prometheus(prometheus: Prometheus) -> None:
    def up() -> dict[str, str]:
        return {one["metric"]["job"]: one["value"][1] for one in prometheus.series("up")}

    # Here and below: what does not answer within its half second is down until it is asked again.
    until(lambda: up() == dict.fromkeys((*PORTS, "prometheus"), "1"), "all are up")


def test_every_panel_has_data_after_a_recording(prometheus: Prometheus) -> None:
    wanted = [text for text in _panels() if not any(name in text for name in RARE)]
    assert len(wanted) > 12
    for text in wanted:
        until(lambda text=text: prometheus.series(text), text)  # type: ignore[misc]


def test_panels_of_what_has_not_happened_are_asked_without_an_error(prometheus: Prometheus) -> None:
    for text in _panels():
        assert prometheus.ask("query", query=text)["resultType"] == "vector"


def _evaluated(prometheus: Prometheus) -> list[dict[str, Any]]:
    """All rules, once each was evaluated."""
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    return [] if any(rule["health"] == "unknown" for rule in rules) else rules


def test_every_alert_is_evaluated_and_none_is_raised_by_a_good_recording(prometheus: Prometheus) -> None:
    # The first evaluation comes a moment after the first scrape.
    rules = until(lambda: _evaluated(prometheus), "every rule is evaluated")
    assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
    assert {rule["health"] for rule in rules} == {"ok"}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_the_figures_that_alerts_compare_exist(prometheus: Prometheus) -> None:
    for name in (
        *("pipeline_oldest_unanchored_seconds", "pipeline_queue_depth", "ledger_checkpoint_age_seconds"),
        *("storage_used_bytes", "sessions_active", "recorder_dropped_frames_total"),
        *("sessions_created_total", "session_duration_seconds_bucket", "chunk_size_bytes_bucket"),
        *("chunk_processing_duration_seconds_bucket", "storage_operations_total", "api_requests_total"),
        "scrub_oldest_unverified_seconds",
        "jobs_oldest_pending_seconds",
        'chunks_quarantined{where="archive"}',
        'chunks_processed_total{status="success"}',
        *(f'pipeline_stage_duration_seconds_count{{stage="{stage}"}} > 0' for stage in STAGES),
        "api_request_duration_seconds_bucket",
    ):
        until(lambda name=name: prometheus.series(name), name)  # type: ignore[misc]
