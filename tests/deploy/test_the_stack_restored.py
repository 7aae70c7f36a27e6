"""deploy/scripts/restore on the real services: database, blobs, log and every key are gone, and come back.

Each service has its own keys here, as under Compose: what a restore decides about the log has to reach the
one that signs it, or nothing recorded afterwards would be anchored. The last of the tests on these services.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient

from tests.deploy.orders import Order, Script
from tests.deploy.parts import DEPLOY, ONE_AT_A_TIME, PORTS, ROOT, run, said
from tests.deploy.stack import Standing

pytestmark = ONE_AT_A_TIME

SCRIPT = DEPLOY / "docker/restore.py"


@pytest.fixture(scope="module")
def restored(
    recorded: dict[str, object], standing: Standing, tmp_path_factory: pytest.TempPathFactory
) -> Script:
    """The script's run, after a backup and the loss of everything else."""
    standing.manage("backup", service="backup")
    standing.stop(*standing.programs)
    for lost in ("keys", "shares", "ledger", "chunks", "spool"):
        shutil.rmtree(standing.home / lost)
        (standing.home / lost).mkdir()
    url = standing.environment("migrate")["MONGODB_URL_FILE"]
    with MongoClient(Path(url).read_text()) as client:
        client.drop_database("lucid_sessions")
    done = Script("restore", tmp_path_factory.mktemp("restore"))
    return done.run("--log", "adopt", carry_out=lambda order: _carried_out(order, standing))


def _carried_out(order: Order, standing: Standing) -> bool:
    verb, *words = order.words
    if verb == "up" and "mongodb" not in words:
        standing.start(*PORTS)
    elif "restore" in words:
        options = words[words.index("restore") + 1 :]
        sealer = standing.home / "shares/pipeline-manager"
        ended = run(sys.executable, SCRIPT, sealer, *options, env=standing.environment("restore"), cwd=ROOT)
        assert ended.returncode == 0, said(ended)
    elif "keys-share" in words:
        standing.share_keys()
    return True


def test_the_services_are_well_and_the_recording_is_whole(
    restored: Script, recorded: dict[str, object], standing: Standing
) -> None:
    assert restored.status == 0, restored.words
    told = standing.manage("verify", str(recorded["session"]), "--deep", service="session-api")
    assert "intact, complete" in told


def test_what_is_recorded_then_is_anchored_by_the_one_who_signs(restored: Script, standing: Standing) -> None:
    words = ("record", "synthetic://320x240", "--duration", "1", "--wait", "--json")
    assert json.loads(standing.manage(*words, service="session-api"))["status"] == "completed"
    held = [path for path in standing.home.glob("*/**/log.pin") if path.is_file()]
    assert held == [standing.home / "shares/pipeline-manager/private/log.pin"]
