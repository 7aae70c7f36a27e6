"""deploy/scripts/rolling-update takes the real services from an earlier release to this one, under load.

The earlier release lies beside this file: its code makes the database and the keys, records and answers.
Then the schema is migrated while it works, and one service after another becomes this checkout's.
Instead of containers, processes: what the script orders of Compose is done to them, a SIGTERM and a new
start, and the order is fulfilled once the new one is ready. The API runs twice, as under Swarm and
Kubernetes, and the client asks the other when one is gone, as nginx does.
"""

import hashlib
import lzma
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.deploy import people
from tests.deploy.orders import Order, Script
from tests.deploy.parts import ONE_AT_A_TIME, PORTS, ROOT
from tests.deploy.stack import SECOND_API, Standing
from tests.deploy.standing import stood
from tests.waiting import until

pytestmark = ONE_AT_A_TIME


# The release that installations come from, as a file: a clone need not have its history. Made by
# git archive f9599e0610dc2a2be708a0ebeb29f59fa541369b lucid_sessions recorder tasks manage.py \
#     deploy/docker/share_keys.py ':!lucid_sessions/console/static/console/vendor' | xz -9e
EARLIER = Path(__file__).with_name("earlier-release.tar.xz")
EARLIER_SHA256 = "0b65d900060a9fafe557373512dfe46f4f1408761dd77697d956039ad17c8fcf"


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
        body = {
            "name": f"rolling {len(self.sessions)}",
            "source": {"kind": "synthetic"},
            "recording_config": {"resolution": "320x240", "frame_rate": 5},
        }
        status, session = self.client.ask("POST", "/api/v1/sessions", body)
        assert status == 201, session
        self.sessions.append(session["id"])
        assert self.client.ask("POST", f"/api/v1/sessions/{session['id']}/start")[0] == 200
        return str(session["id"])

    def _ask(self) -> None:
        while not self._over.wait(0.1):
            self.client.ask("GET", "/api/v1/sessions?limit=5")


class Rolled(NamedTuple):
    """An installation that was brought from the earlier release to this one."""

    standing: Standing
    load: Load
    script: Script
    ended: dict[str, Any]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the earlier release, in a directory of its own."""
    packed = EARLIER.read_bytes()
    assert hashlib.sha256(packed).hexdigest() == EARLIER_SHA256
    home = tmp_path_factory.mktemp("earlier")
    subprocess.run(["tar", "--extract", "--directory", home], input=lzma.decompress(packed), check=True)
    return home


@pytest.fixture(scope="module")
def rolled(earlier: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolled]:
    """After the update: what was asked, the script's run, and how the sessions ended."""
    home = tmp_path_factory.mktemp("rolling")
    (home / "env").write_text("LUCID_VERSION=before\n")
    (home / "stack").mkdir()
    with stood(home / "stack", code=earlier) as standing:
        people.enrol(standing)
        standing.start(SECOND_API)
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
        yield Rolled(standing, load, done, ended)


def _replaced(order: Order, standing: Standing, load: Load) -> bool:
    standing.code.pop(order.service, None)
    if order.service == "migrate":
        standing.manage("migrate", "--no-input", service="migrate")
        # A row by the earlier release in the new schema.
        load.record()
    elif order.service == "keys-init":
        standing.manage("keys", "init", service="keys-init")
    elif order.service == "keys-share":
        standing.share_keys()
    elif order.service == "complete_rows":
        standing.manage("complete_rows", service="migrate")
    elif order.service in PORTS:
        names = ("session-api", SECOND_API) if order.service == "session-api" else (order.service,)
        for name in names:
            standing.stop(name)
            standing.code.pop(name, None)
            standing.start(name)
        if order.service in ("pipeline-manager", "chunk-processor"):
            load.record()
    return True


def _ended(client: people.Client, sessions: list[str]) -> dict[str, Any]:
    """The sessions once all have ended."""
    bodies: dict[str, Any] = {}

    def all_have() -> bool:
        bodies.update((one, client.ask("GET", f"/api/v1/sessions/{one}")[1]) for one in sessions)
        return all(body.get("status") in ("completed", "failed") for body in bodies.values())

    until(all_have, "all sessions have ended", every=0.5)
    return bodies


def test_every_service_was_replaced_and_is_well(rolled: Rolled) -> None:
    assert rolled.script.status == 0, rolled.script.words
    assert "All services run after." in rolled.script.words
    # Of several processes the one that answers may never have been asked before, and say no at first.
    for name in PORTS:
        until(lambda name=name: rolled.standing.is_ready(name), f"{name} is ready")  # type: ignore[misc]
    assert rolled.standing.code == {}


def test_there_was_a_schema_to_migrate(earlier: Path) -> None:
    # Else it was no upgrade. When a release is made, EARLIER becomes the release before it.
    assert _migrations(ROOT) > _migrations(earlier)


def _migrations(code: Path) -> set[str]:
    found = (code / "lucid_sessions").rglob("migrations/0*.py")
    return {str(path.relative_to(code)) for path in found}


def test_no_request_failed(rolled: Rolled) -> None:
    assert len(rolled.load.client.answers) > 50
    assert [one for one in rolled.load.client.answers if one[0] >= 400 or one[0] == 0] == []


def test_requests_met_a_process_that_was_gone(rolled: Rolled) -> None:
    # Else nothing was tested.
    assert rolled.load.client.asked_again > 0


def test_no_recording_was_lost(rolled: Rolled) -> None:
    assert [body for body in rolled.ended.values() if body["status"] != "completed"] == []
    told = rolled.standing.manage("verify", "--all", "--deep", "--json", service="session-api")
    assert all(session in told for session in rolled.load.sessions), told


def test_the_recorders_own_replacement_is_a_gap_that_the_archive_names(rolled: Rolled) -> None:
    told = rolled.standing.manage("verify", rolled.load.sessions[0], "--deep", service="session-api")
    assert "intact" in told
    assert rolled.standing.log("session-recorder").read_text().count("Traceback") == 0
