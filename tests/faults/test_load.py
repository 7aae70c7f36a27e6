"""Workers killed under load, a broker and a database that fail in every way."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from django.conf import settings
from django.utils import timezone

from lucid_sessions.recordings.models import Chunk, Session
from tests.faults.ground import DRAIN_SECONDS, FULL, Ground, trials
from tests.faults.load import PREFORK, THREADS, Engine, children_of, finish, kill_group, running
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)

# Chunks that may wait while workers go on being killed: a few seconds' work.
MOST_WAITING = 300
# How long what is struck stays away.
AWAY_SECONDS = (0.5, 3.0) if FULL else (0.2, 0.8)


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
            until(lambda: _bears_more(ground))
        engine.revive(*PREFORK)
        finish(engine)


def _bears_more(ground: Ground) -> bool:
    ground.hasten()
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
    ready: list[tuple[subprocess.Popen[bytes], list[int]]] = []
    until(lambda: ready.extend(engine.ready()) or ready, every=0.05)
    worker, pool = engine.ground.rng.choice(ready)
    if whole:
        kill_group(worker)
        engine.revive(*PREFORK)
        return
    try:
        os.kill(engine.ground.rng.choice(pool), signal.SIGKILL)
    except ProcessLookupError:  # of an earlier kill: this one has yet to happen
        _kill_one(engine, whole=False)


@pytest.mark.fault(2, "a deploy: SIGTERM to every worker and beat under load, all started again, drained")
@pytest.mark.timeout(1800)
def test_a_deploy_under_load_loses_and_doubles_nothing(ground: Ground) -> None:
    with running(ground, *THREADS) as engine:
        for number in range(trials(100, 1)):
            sessions = [engine.feed() for _ in range(4)]
            engine.await_progress()
            for session in sessions:
                ground.strike(session)
            ground.trials -= len(sessions) - 1  # one deploy
            engine.terminate()
            ground.strike(engine.feed())  # recorders go on meanwhile
            ground.trials -= 1
            engine.start_worker(*(THREADS if number % 2 else PREFORK))
            engine.start_beat()
            # Each deploy is measured by itself: from the signal until all that it met is sealed.
            until(ground.has_recovered, seconds=DRAIN_SECONDS, every=0.05)
            ground.remember_checkpoint()
        finish(engine)


def test_what_a_pool_process_leaves_when_it_dies_or_ends_goes_on_at_once(ground: Ground, strace: str) -> None:
    slow = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e"]
    with running(ground, *PREFORK, before=[*slow, "inject=fsync:delay_enter=30000"]) as engine:
        (worker,) = children_of(engine.workers[0].pid)
        _kill_the_ones_at_work(engine, worker)
        session, pool = _halted_at_work(engine, worker)
        left = Chunk.objects.filter(session=session, blob="")
        before = left.count()
        os.kill(worker, signal.SIGTERM)
        until(lambda: "Warm shutdown" in (ground.home / "worker.log").read_text(), every=0.02)
        _signal_all(pool, signal.SIGCONT)
        assert engine.workers[0].wait(PATIENCE) == 0
        assert left.count() >= before - len(pool), "each ended the one that it had begun, and no more"
        assert not left.filter(token__gt="").exists()
        assert not left.filter(hinted_at__isnull=False).exists()


def _halted_at_work(engine: Engine, worker: int) -> tuple[Session, list[int]]:
    """A session of which much is not stored yet and part of that is held by the pool, which stands still."""
    while True:
        session = engine.feed(segments=16)
        until(Chunk.objects.filter(session=session, blob__gt="").exists, every=0.02)
        pool = children_of(worker)
        _signal_all(pool, signal.SIGSTOP)
        left = Chunk.objects.filter(session=session, blob="")
        if left.count() > 8 and left.filter(token__gt="").exists():
            return session, pool
        # We looked too late: they went on meanwhile.
        _signal_all(pool, signal.SIGCONT)


def _kill_the_ones_at_work(engine: Engine, worker: int) -> None:
    """What they held is free long before its lease is over, and is stored."""
    session, pool = _halted_at_work(engine, worker)
    held = Chunk.objects.filter(session=session, token__gt="")
    over = held.order_by("lease_until").values_list("lease_until", flat=True).first()
    assert over is not None
    _signal_all(pool, signal.SIGKILL)
    until(lambda: not held.filter(lease_until__gte=over).exists(), every=0.02)
    assert timezone.now() < over
    until(lambda: not Chunk.objects.filter(session=session, blob="").exists(), every=0.05)


def _signal_all(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        os.kill(process, number)


def _flushall(engine: Engine) -> None:
    engine.redis.client.flushall()


def _killed(engine: Engine) -> None:
    engine.redis.end(signal.SIGKILL)
    time.sleep(engine.ground.rng.uniform(0, AWAY_SECONDS[1]))
    engine.redis.start()


def _restarted(engine: Engine) -> None:
    engine.redis.end(signal.SIGTERM)
    engine.redis.start()


def _frozen(engine: Engine) -> None:
    assert engine.redis.process is not None
    engine.redis.process.send_signal(signal.SIGSTOP)
    time.sleep(engine.ground.rng.uniform(*AWAY_SECONDS))
    engine.redis.process.send_signal(signal.SIGCONT)


def _out_of_memory(engine: Engine) -> None:
    _configured(engine, "maxmemory", "1", "0")


def _refusing_writes(engine: Engine) -> None:
    _configured(engine, "min-replicas-to-write", "1", "0")


def _configured(engine: Engine, name: str, bad: str, good: str) -> None:
    engine.redis.client.config_set(name, bad)
    time.sleep(engine.ground.rng.uniform(*AWAY_SECONDS))
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
        for number in range(len(BROKER) * trials(100, 3)):
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
        for number in range(trials(100, 3)):
            session = engine.feed()
            seconds = "23" if number % 10 == 9 else f"{ground.rng.uniform(*AWAY_SECONDS):.1f}"
            command = [sys.executable, "-c", LOCKING, str(settings.DATABASES["default"]["NAME"]), seconds]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
                assert other.stdout is not None
                assert other.stdout.readline() == b"locked\n"
                assert other.wait(PATIENCE) == 0
            ground.strike(session)
            # Every other lock comes at once after the one before; from the other half all must recover.
            if number % 2:
                until(ground.has_recovered, seconds=DRAIN_SECONDS, every=0.05)
        finish(engine)
