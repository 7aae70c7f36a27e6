"""An engine under load: real workers and beat on a real Redis, fed with segments while something breaks."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis

from lucid_sessions.recordings import hints, intake
from lucid_sessions.recordings.lifecycle import QUEUES, State
from lucid_sessions.recordings.models import Chunk, Session
from tasks.celery import app
from tasks.pipeline import CeleryPublisher
from tests import servers
from tests.faults.ground import Ground
from tests.ports import free_port
from tests.tasks.workers import environment
from tests.waiting import PATIENCE, until

ALL = ",".join(QUEUES)
SEGMENTS_A_SESSION = 8
PREFORK = ("--pool", "prefork", "--concurrency", "2")
THREADS = ("--pool", "threads", "--concurrency", "2")


@dataclass
class Redis:
    """A redis-server that can be killed, stopped and started again on its port, with what it had saved."""

    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, socket_timeout=5)

    def start(self) -> None:
        """Running and answering."""
        command = [str(servers.redis_program()), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.home), "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        command += ["--maxmemory-policy", "noeviction"]
        with (self.home / "redis.log").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        until(self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def end(self, number: signal.Signals) -> None:
        """Ended by this signal."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(PATIENCE)


@dataclass
class Engine:
    """Workers, beat, and the sessions that are fed to them."""

    ground: Ground
    redis: Redis
    env: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)
    fed: int = 0
    names: dict[int, str] = field(default_factory=dict)

    def start_worker(self, *options: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """A worker on all queues, in a process group of its own, below `before`; not necessarily ready."""
        name = f"w{len(self.workers)}-{self.fed}-{time.monotonic_ns()}"
        argv = ["worker", "-Q", ALL, "-n", f"{name}@test", "--without-mingle", "--without-gossip", *options]
        self.workers.append(self._start(*argv, name="worker", before=before))
        self.names[self.workers[-1].pid] = name
        return self.workers[-1]

    def ready(self) -> list[tuple[subprocess.Popen[bytes], list[int]]]:
        """The workers that are up, with their pools; one that still starts has nothing to lose yet."""
        log = (self.ground.home / "worker.log").read_text(errors="replace")
        up = [one for one in self.workers if f"{self.names[one.pid]}@test ready" in log]
        pools = [(one, children_of(one.pid)) for one in up if one.poll() is None]
        return [(one, pool) for one, pool in pools if pool]

    def revive(self, *options: str) -> None:
        """Workers that have ended are started anew, as a service manager does (`restart: always`)."""
        for worker in [one for one in self.workers if one.poll() is not None]:
            self.workers.remove(worker)
            self.start_worker(*options)

    def start_beat(self) -> None:
        self.others.append(self._start("beat", "-s", str(self.ground.home / "beat"), name="beat"))

    def _start(self, *argv: str, name: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        command = [*before, sys.executable, "-m", "tasks", *argv, "--loglevel", "INFO"]
        with (self.ground.home / f"{name}.log").open("ab") as out:
            return subprocess.Popen(command, env=self.env, stdout=out, stderr=out, start_new_session=True)

    def feed(self, segments: int = SEGMENTS_A_SESSION) -> Session:
        """One more session that is over; its chunks are hinted as the recorder hints."""
        session = self.ground.session(segments=segments, name=f"load {self.fed}")
        hints.hint(Chunk.objects.filter(session=session).order_by("sequence"))
        self.fed += 1
        return session

    def progress(self) -> int:
        """How many chunks are stored or further."""
        return Chunk.objects.filter(state__in=(State.STORED, State.ANCHORED)).count()

    def await_progress(self) -> None:
        """More is stored than now: a fault before that would show a false zero."""
        before = self.progress()

        def goes_on() -> bool:
            self.ground.hasten()
            return self.progress() > before or self._idle()

        until(goes_on, every=0.02)

    def _idle(self) -> bool:
        return not Chunk.objects.exclude(state=State.ANCHORED).exclude(quarantined_at__isnull=False).exists()

    def terminate(self) -> None:
        """Workers and beat were asked to end, and have, in good order."""
        for process in [*self.workers, *self.others]:
            process.send_signal(signal.SIGTERM)
        for process in [*self.workers, *self.others]:
            assert process.wait(PATIENCE) == 0, f"{process.args} left in good order"
        self.workers.clear()
        self.others.clear()

    def end(self) -> None:
        for process in [*self.workers, *self.others]:
            kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the process and all it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)


def children_of(pid: int) -> list[int]:
    """The processes that this one forked."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def running(ground: Ground, *options: str, workers: int = 1, before: Sequence[str] = ()) -> Iterator[Engine]:
    """An engine whose workers have shown that they work."""
    broker = Redis(ground.home)
    broker.start()
    earlier = app.conf.broker_url
    _use_broker(broker.url)
    hints.register(CeleryPublisher())
    engine = Engine(ground, broker, environment(ground.world, broker.url))
    try:
        for _ in range(workers):
            engine.start_worker(*options, before=before)
        engine.start_beat()
        session = engine.feed()
        anchored = Chunk.objects.filter(session=session, state=State.ANCHORED)
        until(lambda: anchored.count() == SEGMENTS_A_SESSION)
        yield engine
    finally:
        hints.register(None)
        engine.end()
        if broker.process and broker.process.poll() is None:
            broker.end(signal.SIGKILL)
        _use_broker(earlier)


def _use_broker(url: str) -> None:
    app.conf.broker_url = url
    app._after_fork()  # forgets the connections to the broker before


def finish(engine: Engine) -> None:
    """Drained by the engine's own workers and beat, then examined."""
    scanner: Callable[[], object] = intake.Intake(engine.ground.world.spool).scan
    scanner()
    engine.ground.finish(inline=False)
