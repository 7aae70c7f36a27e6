"""A recording goes through the five services, each with the secrets and keys that Compose gives it."""

from pathlib import Path

import pytest

from tests.deploy.parts import PORTS
from tests.deploy.stack import Standing

# Starting them takes a while: tests on them share one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("services")


def test_a_recording_is_anchored(recorded: dict[str, object]) -> None:
    assert recorded["status"] == "completed"
    assert set(dict(recorded["chunks"])) == {"anchored"}  # type: ignore[call-overload]


def test_it_is_whole_and_opens_where_the_password_is(recorded: dict[str, object], standing: Standing) -> None:
    said = standing.manage("verify", str(recorded["session"]), "--deep", service="session-api")
    assert "intact, complete" in said


@pytest.mark.parametrize("name", sorted(PORTS))
def test_every_service_answers_on_its_port(name: str, standing: Standing) -> None:
    assert standing.answer(name, "/health")[0] == 200
    assert standing.answer(name, "/health/startup")[0] == 200
    assert "# TYPE" in standing.answer(name, "/metrics")[1]


def test_the_metrics_of_the_alerts_are_exported(recorded: dict[str, object], standing: Standing) -> None:
    figures = standing.answer("pipeline-manager", "/metrics")[1]
    for name in (
        "pipeline_oldest_unanchored_seconds",
        "pipeline_queue_depth",
        "ledger_checkpoint_age_seconds",
    ):
        assert f"# TYPE {name} gauge" in figures
    assert 'chunks_processed_total{status="success"}' in standing.answer("session-storage", "/metrics")[1]


def test_no_key_but_its_own_lies_where_a_worker_looks(standing: Standing) -> None:
    held = {path.parts[-3]: path.name for path in Path(standing.home, "shares").glob("*/private/*.key")}
    assert held == {
        "session-api": "creator.key",
        "pipeline-manager": "log.key",
        "session-recorder": "recorder.key",
        "chunk-processor": "writer.key",
    }
