"""Real workers hold a lock for as long as they live, pool and all."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lucid_sessions.recordings.installation import Installation
from tests.faults.ground import Ground
from tests.faults.load import PREFORK, THREADS, Engine, children_of, kill_group, running
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def _engine(world: Installation, home: Path, *options: str) -> Iterator[Engine]:
    with running(Ground(world, home), *options) as engine:
        # The trial's own process is no worker, and beat, which ticks, would forget the dead before we look.
        for other in engine.others:
            kill_group(other)
        yield engine


def _dead(world: Installation) -> list[str]:
    with world.presence.of_the_dead() as names:
        return names


@pytest.mark.parametrize("options", [PREFORK, THREADS], ids=["prefork", "threads"])
def test_a_worker_is_present_and_dead_when_all_of_it_is_killed(
    options: tuple[str, ...], world: Installation, tmp_path: Path
) -> None:
    with _engine(world, tmp_path, *options) as engine:
        (worker,) = engine.workers
        (file,) = world.presence.root.iterdir()
        for child in children_of(worker.pid)[:1]:
            os.kill(child, signal.SIGKILL)  # one of a pool: its parent sees that
        assert _dead(world) == []
        kill_group(worker)
        until(lambda: _dead(world) == [file.name])


def test_a_worker_that_is_asked_to_end_takes_leave(world: Installation, tmp_path: Path) -> None:
    with _engine(world, tmp_path, *PREFORK) as engine:
        (worker,) = engine.workers
        worker.terminate()
        assert worker.wait(PATIENCE) == 0
        assert list(world.presence.root.iterdir()) == []
