"""The real Alertmanager with our routes: a critical alert is delivered, and silences its warning."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.parts import DEPLOY, services, tool
from tests.deploy.serving import await_ready, started
from tests.ports import free_port
from tests.recordings.receiver import Receiver, receiving
from tests.waiting import PATIENCE, until


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def alertmanager(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; it waits for nothing before it delivers, and delivers to the receiver."""
    home, port = tmp_path_factory.mktemp("alertmanager"), free_port()
    whole = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    for route in (whole["route"], *whole["route"]["routes"]):
        route["group_wait"] = "0s"
    (told,) = whole["receivers"]
    told["webhook_configs"][0]["url"] = receiver.url
    (home / "alertmanager.yml").write_text(yaml.safe_dump(whole))
    options = (
        *(f"--config.file={home}/alertmanager.yml", f"--storage.path={home}/data"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
    )
    program = tool("prometheus-alertmanager", package="prometheus-alertmanager")
    address = f"http://127.0.0.1:{port}"
    with started(program, *options, log=home / "log") as running:
        await_ready(lambda: _answers(address + _health_path()), program=running, log=home / "log")
        yield address


def _health_path() -> str:
    (asked,) = (word for word in services()["alertmanager"]["healthcheck"]["test"] if "9093" in word)
    return str(asked).partition("9093")[2]


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:  # noqa: S310 - ours, on loopback
            return bool(reply.status == 200)
    except OSError:
        return False


def _ask(address: str, body: Any = None) -> Any:
    sent = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address, data=sent, headers={"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=PATIENCE) as reply:  # noqa: S310 - ours, on loopback
        return json.loads(reply.read() or b"null")


def _post(address: str, name: str, severity: str) -> None:
    labels = {"alertname": name, "severity": severity, "component": "storage"}
    _ask(f"{address}/api/v2/alerts", [{"labels": labels}])


def test_a_critical_alert_is_delivered_and_silences_its_warning(
    alertmanager: str, receiver: Receiver
) -> None:
    _post(alertmanager, "StorageSpaceCritical", "critical")

    def is_silent() -> bool:
        states = {one["labels"]["alertname"]: one["status"] for one in _ask(f"{alertmanager}/api/v2/alerts")}
        return bool(states["StorageSpaceLow"]["state"] == "suppressed")

    until(lambda: receiver.requests, "the alert is delivered")
    _post(alertmanager, "StorageSpaceLow", "warning")
    until(is_silent, "the warning is silent")
    (alert,) = json.loads(receiver.requests[0][2])["alerts"]
    assert alert["labels"]["alertname"] == "StorageSpaceCritical"


def test_it_counts_what_it_could_not_deliver(alertmanager: str) -> None:
    with urllib.request.urlopen(f"{alertmanager}/metrics", timeout=PATIENCE) as reply:  # noqa: S310 - ours
        assert "# TYPE alertmanager_notifications_failed_total counter" in reply.read().decode()
