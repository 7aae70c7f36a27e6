"""mongod killed and stepped down under load. Needs MONGODB_URL: `python -m tests.servers mongod -- ...`."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connections
from pymongo import MongoClient
from pymongo.errors import NotPrimaryError, PyMongoError

from lucid_sessions.recordings import intake, sessions
from lucid_sessions.recordings.lifecycle import Status
from lucid_sessions.recordings.models import Chunk, Session
from tests.faults.ground import FULL, Ground, trials
from tests.faults.load import THREADS, finish, running
from tests.faults.test_recorders import await_new_take, note_acknowledged, recording
from tests.servers import mongod_program
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)

AWAY_SECONDS = (2.0, 6.0) if FULL else (1.0, 2.0)


class Server:
    """A mongod that the tests were started beside, to be killed and started again as it was."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or int(urlsplit(settings.MONGODB_URL.split("?")[0]).port or 0)
        self.pid = next(pid for pid in _processes() if f"--port\0{self.port}\0" in _command(pid))
        self.argv = _command(self.pid).split("\0")[:-1]
        self.process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            return
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: not _alive(self.pid))

    def start(self) -> None:
        self.begin()
        until(self.is_primary)

    def begin(self) -> None:
        """It runs, and is not necessarily the primary."""
        self.process = subprocess.Popen(self.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def step_down(self, *, seconds: int = 2) -> None:
        """For so long it takes no writes and is not elected again, and it closes what wrote."""
        until(lambda: self._steps_down(seconds))

    def _steps_down(self, seconds: int) -> bool:
        """False when it was too busy to."""
        with self._client() as client:
            try:
                client.admin.command("replSetStepDown", seconds, force=True)
            except NotPrimaryError:  # any more
                return True
            except PyMongoError:
                return False
        return True

    def is_primary(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False

    def _client(self) -> "MongoClient[dict[str, object]]":
        return MongoClient("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=1000)


def _processes() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()]


def _command(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
    return command if "mongod\0" in command.split("--", 1)[0] else ""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.mongodb_only("it kills the mongod that it runs on")
@pytest.mark.fault(5, "mongod killed (SIGKILL) and started again, and stepped down, under load")
@pytest.mark.timeout(3600)
def test_a_database_that_dies_under_load_loses_nothing(ground: Ground) -> None:
    server = Server()
    with running(ground, *THREADS) as engine:
        for number in range(2 * trials(100, 3)):
            sessions = [engine.feed(), engine.feed()]
            time.sleep(ground.rng.uniform(0, 0.3))
            if number % 2 == 0:
                server.kill()
                time.sleep(ground.rng.uniform(0, 1.5))
                server.start()
            else:
                server.step_down()
                until(server.is_primary)
            connections.close_all()
            for session in sessions:
                ground.strike(session)
            ground.trials -= 1  # two sessions, one trial
            ground.note_recoveries()
        finish(engine)


@pytest.mark.mongodb_only("it kills the mongod that it runs on")
@pytest.mark.fault(5, "mongod away for seconds while a desktop is recorded, without Redis all the while")
@pytest.mark.timeout(3600)
def test_recording_goes_on_while_the_database_is_away(ground: Ground) -> None:
    server = Server()
    with recording(ground) as (_, session):
        await_new_take(session, after=0)
        for _ in range(trials(100, 1)):
            server.kill()
            time.sleep(ground.rng.uniform(*AWAY_SECONDS))
            server.start()
            connections.close_all()
            ground.strike()
            # Recorded while it was away, filed when it was back.
            back, returned = time.time_ns() // 1_000_000, time.monotonic()
            until(Chunk.objects.filter(session=session, timestamp_ms__gt=back).exists)
            ground.recoveries.append(time.monotonic() - returned)
        session.refresh_from_db()
        sessions.stop(session)
        until(lambda: Session.objects.get(pk=session.pk).status == Status.PROCESSING)
    note_acknowledged(ground)
    intake.Intake(ground.world.spool).scan()
    chunks = list(Chunk.objects.filter(session=session, track="screen").order_by("sequence"))
    assert {chunk.sequence >> 32 for chunk in chunks} == {1}, "no recorder gave up"
    for one, following in itertools.pairwise(chunks):
        if one.end_us != following.start_us:
            ground.extra.lost.append(f"{following.start_us - one.end_us} us after {one}")
    ground.strike(session)
    ground.trials -= 1
    ground.finish()


def test_the_row_on_mongodb_runs_in_a_process_of_its_own() -> None:
    if settings.MONGO:
        return
    mongod_program()
    command = [sys.executable, "-m", "tests.faults", "--ci", "--only", "5", "--mongodb-only"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "mongod killed" in done.stdout
    assert "mongod away" in done.stdout
