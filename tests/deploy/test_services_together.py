"""A recording goes through the five services, each with the secrets and keys that Compose gives it."""

import contextlib
import hashlib
import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.deploy.parts import ONE_AT_A_TIME, PORTS
from tests.deploy.serving import await_ready
from tests.deploy.stack import SECOND_API, Standing
from tests.recordings.receiver import receiving
from tests.waiting import PATIENCE, until

# Starting them takes a while: tests on them share one process of pytest-xdist.
pytestmark = ONE_AT_A_TIME


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
    for name in (
        "pipeline_oldest_unanchored_seconds",
        "pipeline_queue_depth",
        "ledger_checkpoint_age_seconds",
    ):
        # Asked for in the background.
        wanted = f"# TYPE {name} gauge"
        until(lambda wanted=wanted: wanted in standing.answer("pipeline-manager", "/metrics")[1], wanted)  # type: ignore[misc]
    assert 'chunks_processed_total{status="success"}' in standing.answer("session-storage", "/metrics")[1]


def test_no_key_but_its_own_lies_where_a_worker_looks(standing: Standing) -> None:
    held = {path.parts[-3]: path.name for path in Path(standing.home, "shares").glob("*/private/*.key")}
    assert held == {
        "session-api": "creator.key",
        "pipeline-manager": "log.key",
        "session-recorder": "recorder.key",
        "chunk-processor": "writer.key",
        "session-storage": "webhook.key",
    }


ADMIN = """
from lucid_sessions.access import tokens
from lucid_sessions.access.models import User
user, _ = User.objects.get_or_create(username="root", is_superuser=True)
print(tokens.sign_in(user).access)
"""


@pytest.fixture(scope="module")
def token(standing: Standing) -> str:
    return standing.manage("shell", "-v", "0", "-c", ADMIN, service="session-api").split()[-1]


def asked(
    standing: Standing, token: str, path: str, *, body: Any = None, how: str = "", of: str = "session-api"
) -> bytes:
    """What the API answers; it must be good."""
    api = http.client.HTTPConnection("127.0.0.1", standing.ports[of], timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    sent = None if body is None else json.dumps(body)
    with contextlib.closing(api):
        api.request(how or ("GET" if body is None else "POST"), f"/api/v1/{path}", sent, headers)
        answer = api.getresponse()
        content = answer.read()
    assert answer.status < 300, content
    return content


def test_an_export_is_made_where_the_password_is_and_any_replica_gives_it_out(
    recorded: dict[str, object], standing: Standing, token: str
) -> None:
    job = json.loads(asked(standing, token, f"sessions/{recorded['session']}/export", body={}))
    place = f"jobs/{job['id']}"

    def finished() -> bool:
        job.update(json.loads(asked(standing, token, place)))
        assert job["status"] != "failed", job
        return bool(job["status"] == "finished")

    await_ready(finished, program=standing.programs["session-api"], log=standing.log("session-api"))
    assert hashlib.sha256(asked(standing, token, f"{place}/result")).hexdigest() == job["result"]["sha256"]
    standing.start(SECOND_API)
    try:
        assert len(asked(standing, token, f"{place}/result", of=SECOND_API)) == job["result"]["bytes"]
    finally:
        standing.stop(SECOND_API)


def test_a_webhook_is_sent_by_the_service_that_has_its_key(standing: Standing, token: str) -> None:
    with receiving() as receiver:
        made = json.loads(asked(standing, token, "webhooks", body={"url": receiver.url}))
        asked(standing, token, f"webhooks/{made['id']}/ping", body={})
        storage = standing.programs["session-storage"]
        await_ready(lambda: bool(receiver.requests), program=storage, log=standing.log("session-storage"))
        ((_, headers, body),) = receiver.requests
        assert Webhook(made["secret"]).verify(body, headers)["type"] == "webhook.test"
        asked(standing, token, f"webhooks/{made['id']}", how="DELETE")
