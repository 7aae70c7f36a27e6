"""deploy/scripts/rolling-update replaces the real services under load: recordings and requests.

Instead of containers, processes: what the script orders of Compose is done to them, a SIGTERM and a new
start, and the order is fulfilled once the new one is ready. The API runs twice, as under Swarm and
Kubernetes, and the client asks the other when one is gone, as nginx does.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import people
from tests.deploy.orders import Order, Script
from tests.deploy.parts import PORTS
from tests.deploy.stack import SECOND_API, Standing

# On a busy machine every start takes its time.
pytestmark = [pytest.mark.xdist_group("services"), pytest.mark.timeout(600)]


class Load:
    """One session recorded throughout, two more begun between replacements, and a client that never rests."""

    def __init__(self, standing: Standing) -> None:
        self.client = people.Client(standing, apis=("session-api", SECOND_API))
        self.sessions: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Load":
        assert self.client.sign_in() == 200
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def record(self) -> str:
        """A recording that has been ordered."""
        body = {"name": f"rolling {len(self.sessions)}", "source": {"kind": "synthetic"}}
        status, session = self.client.ask("POST", "/api/v1/sessions", body)
        assert status == 201, session
        self.sessions.append(session["id"])
        assert self.client.ask("POST", f"/api/v1/sessions/{session['id']}/start")[0] == 200
        return str(session["id"])

    def _ask(self) -> None:
        while not self._over.wait(0.1):
            self.client.ask("GET", "/api/v1/sessions?limit=5")


@pytest.fixture(scope="module")
def rolled(
    standing: Standing, recorded: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Load, Script, dict[str, Any]]]:
    """After the update: what was asked, the script's run, and how the sessions ended."""
    assert recorded["status"] == "completed"
    home = tmp_path_factory.mktemp("rolling")
    (home / "env").write_text("LUCID_VERSION=before\n")
    people.enrol(standing)
    standing.start(SECOND_API)
    try:
        with Load(standing) as load:
            load.record()
            done = Script("rolling-update", home).run(
                "after",
                carry_out=lambda order: _replaced(order, standing, load),
                LUCID_ENV_FILE=f"{home}/env",
            )
            for session in load.sessions:
                assert load.client.ask("POST", f"/api/v1/sessions/{session}/stop")[0] == 200
            ended = _ended(load.client, load.sessions)
        yield load, done, ended
    finally:
        standing.stop(SECOND_API)


def _replaced(order: Order, standing: Standing, load: Load) -> bool:
    if order.service == "migrate":
        standing.manage("migrate", "--no-input", service="migrate")
    elif order.service in PORTS:
        names = ("session-api", SECOND_API) if order.service == "session-api" else (order.service,)
        for name in names:
            standing.stop(name)
            standing.start(name)
        if order.service in ("pipeline-manager", "chunk-processor"):
            load.record()
    return True


def _ended(client: people.Client, sessions: list[str]) -> dict[str, Any]:
    """The sessions once all have ended, or as they are after a minute."""
    bodies: dict[str, Any] = {}
    for _ in range(120):
        bodies = {one: client.ask("GET", f"/api/v1/sessions/{one}")[1] for one in sessions}
        if all(body.get("status") in ("completed", "failed") for body in bodies.values()):
            break
        time.sleep(0.5)
    return bodies


Rolled = tuple[Load, Script, dict[str, Any]]


def test_every_service_was_replaced_and_is_well(rolled: Rolled, standing: Standing) -> None:
    done = rolled[1]
    assert done.status == 0, done.words
    assert "All services run after." in done.words
    assert all(standing.is_ready(name) for name in PORTS)


def test_no_request_failed(rolled: Rolled) -> None:
    load = rolled[0]
    assert len(load.client.statuses) > 50
    assert {status for status in load.client.statuses if status >= 400 or status == 0} == set()


def test_requests_met_a_process_that_was_gone(rolled: Rolled) -> None:
    # Else nothing was tested.
    assert rolled[0].client.asked_again > 0


def test_no_recording_was_lost(rolled: Rolled, standing: Standing) -> None:
    load, _, ended = rolled
    assert [body for body in ended.values() if body["status"] != "completed"] == []
    told = standing.manage("verify", "--all", "--deep", "--json", service="session-api")
    found = json.loads(told)
    assert all(session in told for session in load.sessions), found


def test_the_recorders_own_replacement_is_a_gap_that_the_archive_names(
    rolled: Rolled, standing: Standing
) -> None:
    load = rolled[0]
    told = standing.manage("verify", load.sessions[0], "--deep", service="session-api")
    assert "intact" in told
    assert Path(standing.log("session-recorder")).read_text().count("Traceback") == 0
