"""Workers killed under load, a broker and a database that fail in every way, poison among the messages."""

import base64
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from django.conf import settings

from lucid_sessions.recordings.models import Chunk
from tests.faults.ground import Ground, trials
from tests.faults.load import Engine, children_of, finish, kill_group, running
from tests.tasks.workers import until

pytestmark = pytest.mark.django_db(transaction=True)

PREFORK = ("--pool", "prefork", "--concurrency", "2")
# Chunks that may wait while workers go on being killed: a few seconds' work.
MOST_WAITING = 300
THREADS = ("--pool", "threads", "--concurrency", "2")


@pytest.mark.fault(2, "SIGKILL of a random worker, or one of its pool's processes, under load")
@pytest.mark.timeout(3600)
def test_killing_random_workers_under_load_loses_nothing(ground: Ground) -> None:
    with running(ground, *PREFORK, workers=2) as engine:
        for number in range(trials(1000, 30)):
            session = engine.feed()
            _await_claims()
            time.sleep(ground.rng.uniform(0, 0.02))
            _kill_one(engine, whole=number % 15 == 14)
            ground.strike(session)
            if number % 50 == 49:
                ground.remember_checkpoint()
            # Leases of the killed last 20 s: an endless backlog of them would hide what is lost.
            until(lambda: _bears_more(ground), seconds=120)
        engine.revive(*PREFORK)
        finish(engine)


def _bears_more(ground: Ground) -> bool:
    ground.note_recoveries()
    waiting = Chunk.objects.exclude(state="anchored")
    return waiting.count() < MOST_WAITING


def _await_claims() -> None:
    """Some worker is in the middle of something, or has just been."""
    deadline = time.monotonic() + 2
    while not Chunk.objects.filter(token__gt="").exists() and time.monotonic() < deadline:
        time.sleep(0.002)


def _kill_one(engine: Engine, *, whole: bool) -> None:
    engine.revive(*PREFORK)
    # One of those that have a pool by now.
    until(lambda: any(children_of(worker.pid) for worker in engine.workers), seconds=60, every=0.02)
    worker = engine.ground.rng.choice([one for one in engine.workers if children_of(one.pid)])
    if whole:
        kill_group(worker)
        engine.revive(*PREFORK)
    else:
        os.kill(engine.ground.rng.choice(children_of(worker.pid)), signal.SIGKILL)


@pytest.mark.fault(2, "a deploy: SIGTERM to every worker under load, then new ones")
@pytest.mark.timeout(1800)
def test_a_deploy_under_load_loses_and_doubles_nothing(ground: Ground) -> None:
    with running(ground, *THREADS) as engine:
        for number in range(trials(100, 1)):
            sessions = [engine.feed() for _ in range(4)]
            engine.await_progress()
            for worker in engine.workers:
                worker.send_signal(signal.SIGTERM)
            for session in sessions:
                ground.strike(session)
            ground.trials -= len(sessions) - 1  # one deploy
            ground.note_recoveries()
            new = engine.start_worker(*(THREADS if number % 2 else PREFORK))
            for worker in engine.workers[:-1]:
                assert worker.wait(30) == 0, "the worker left in good order"
            engine.workers = [new]
            ground.remember_checkpoint()
        finish(engine)


def test_a_pool_process_hands_its_lot_back_at_once(ground: Ground, strace: str) -> None:
    slow = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e"]
    with running(ground, *PREFORK, before=[*slow, "inject=fsync:delay_enter=100000"]) as engine:
        session = engine.feed(segments=16)
        stored = Chunk.objects.filter(session=session, blob__gt="")
        until(stored.exists, seconds=60, every=0.02)
        (worker,) = children_of(engine.workers[0].pid)
        os.kill(worker, signal.SIGTERM)
        assert engine.workers[0].wait(60) == 0
        left = Chunk.objects.filter(session=session, blob="")
        assert left.count() > 8, "the worker did not work off its lot first"
        assert not left.filter(token__gt="").exists()
        assert not left.filter(hinted_at__isnull=False).exists()


def _flushall(engine: Engine) -> None:
    engine.redis.client.flushall()


def _killed(engine: Engine) -> None:
    engine.redis.end(signal.SIGKILL)
    time.sleep(engine.ground.rng.uniform(0, 1))
    engine.redis.start()


def _restarted(engine: Engine) -> None:
    engine.redis.end(signal.SIGTERM)
    engine.redis.start()


def _frozen(engine: Engine) -> None:
    assert engine.redis.process is not None
    engine.redis.process.send_signal(signal.SIGSTOP)
    time.sleep(engine.ground.rng.uniform(0.5, 3))
    engine.redis.process.send_signal(signal.SIGCONT)


def _out_of_memory(engine: Engine) -> None:
    _configured(engine, "maxmemory", "1", "0")


def _refusing_writes(engine: Engine) -> None:
    _configured(engine, "min-replicas-to-write", "1", "0")


def _configured(engine: Engine, name: str, bad: str, good: str) -> None:
    engine.redis.client.config_set(name, bad)
    time.sleep(engine.ground.rng.uniform(0.5, 3))
    engine.redis.client.config_set(name, good)


BROKER: list[Callable[[Engine], None]] = [
    _flushall,
    _killed,
    _restarted,
    _frozen,
    _out_of_memory,
    _refusing_writes,
]


@pytest.mark.fault(4, "Redis: FLUSHALL, kill -9, restart, SIGSTOP, out of memory, refusing writes")
@pytest.mark.timeout(3600)
def test_a_broker_that_fails_in_every_way_loses_nothing(ground: Ground) -> None:
    with running(ground, *THREADS) as engine:
        for number in range(len(BROKER) * trials(100, 1)):
            sessions = [engine.feed(), engine.feed()]
            BROKER[number % len(BROKER)](engine)
            for session in sessions:
                ground.strike(session)
            ground.trials -= 1  # two sessions, one trial
            engine.await_progress()
            ground.note_recoveries()
        finish(engine)
        assert all(worker.poll() is None for worker in engine.workers), "no worker ended over it"


LOCKING = """
import sqlite3, sys, time
other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
other.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
other.execute("ROLLBACK")
"""


@pytest.mark.sqlite_only("this trial locks SQLite's file")
@pytest.mark.fault(5, "SQLite locked by a foreign writer, for less and for more than the time-out")
@pytest.mark.timeout(3600)
def test_a_locked_database_is_waited_for(ground: Ground) -> None:
    assert sqlite3.sqlite_version
    with running(ground, *THREADS) as engine:
        for number in range(trials(100, 1)):
            session = engine.feed()
            seconds = "23" if number % 10 == 9 else f"{ground.rng.uniform(1, 4):.1f}"
            command = [sys.executable, "-c", LOCKING, str(settings.DATABASES["default"]["NAME"]), seconds]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
                assert other.stdout is not None
                assert other.stdout.readline() == b"locked\n"
                assert other.wait(60) == 0
            ground.strike(session)
            ground.note_recoveries()
        finish(engine)


def _envelope(task: str, body: bytes, **changes: object) -> dict[str, object]:
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": task, "id": "1", "lang": "py", "root_id": "1"},
        "properties": {
            "correlation_id": "1",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "capture"},
            "delivery_tag": "1",
            "body_encoding": "base64",
        },
        **changes,
    }


class Evil:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.fault(
    10, "poison messages: no JSON, no envelope, a pickle, unknown tasks, wrong arguments, 100 MB"
)
def test_poison_messages_run_nothing_and_stop_nobody(ground: Ground) -> None:
    trace = ground.home / "ran"
    with running(ground, *THREADS) as engine:
        client = engine.redis.client
        big = json.dumps(_envelope("pipeline.capture", b'[["' + b"x" * (100 << 20) + b'"], {}, {}]'))
        for number in range(trials(10_000, 500)):
            client.lpush("capture", _poison(ground, number, str(trace)))
            ground.trials += 1
            if number % 500 == 499:
                client.lpush("capture", big)
                ground.strike(engine.feed())  # behind all that poison
                until(lambda: client.llen("capture") == 0, seconds=300, every=0.05)
                ground.note_recoveries()
        finish(engine)
        assert [worker.poll() for worker in engine.workers] == [None], "the worker has never ended"
    assert not trace.exists(), "a message's code was run"


def _poison(ground: Ground, number: int, trace: str) -> bytes:
    evil = pickle.dumps(Evil(trace))
    arguments = json.dumps([[["no uuid"]], {}, {"chain": None}]).encode()
    several = [
        lambda: ground.rng.randbytes(ground.rng.randint(0, 200)),
        lambda: b"{",
        lambda: b"[]",
        lambda: b"{}",
        lambda: b"null",
        lambda: b"1e999",
        lambda: b"[" * 5000,
        lambda: json.dumps({"body": 1, "headers": 2, "properties": 3}).encode(),
        lambda: json.dumps(_envelope("pipeline.capture", b"\xff\xfe")).encode(),
        lambda: json.dumps(_envelope("os.system", b"[]")).encode(),
        lambda: json.dumps(_envelope("pipeline.capture", arguments)).encode(),
        lambda: json.dumps(_envelope("pipeline.capture", evil, **_pickled())).encode(),
        lambda: json.dumps(_envelope("pipeline.anchor", b'[["a", "b"], 3]')).encode(),
        lambda: json.dumps(_envelope("pipeline.store", b"[[[]], {}, {}]", properties={})).encode(),
    ]
    return several[number % len(several)]()


def _pickled() -> dict[str, object]:
    return {"content-type": "application/x-python-serialize", "content-encoding": "binary"}
