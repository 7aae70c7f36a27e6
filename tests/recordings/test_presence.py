"""Whether a worker lives: a lock that the kernel gives back when its last process is gone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from lucid_sessions.recordings import intake, leases, pipeline, setbacks
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.management.commands.recorder import Filing
from lucid_sessions.recordings.models import Chunk
from lucid_sessions.recordings.presence import NAME_DIGITS, Presence
from tests import factories
from tests.faults.forks import KILLED, run_forked
from tests.programs import needed
from tests.waiting import PATIENCE, until

# Says its name, then its child's process id, and stays until its input ends.
WORKER = """
import os, sys, time
from pathlib import Path
from lucid_sessions.recordings.presence import Presence
presence = Presence(Path(sys.argv[1]))
print(presence.name(), flush=True)
if sys.argv[2:]:
    child = os.fork()
    if child == 0:
        time.sleep(60)
    print(child, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _spool(tmp_path: Path) -> None:
    (tmp_path / "id").touch()


@contextmanager
def _worker(root: Path, *more: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", WORKER, str(root), *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def _said(worker: "subprocess.Popen[str]") -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def _dead(root: Path) -> list[str]:
    with Presence(root).of_the_dead() as names:
        return names


def test_one_that_stalls_lives_and_one_that_was_killed_is_told_of_once(tmp_path: Path) -> None:
    with _worker(tmp_path / "workers") as worker:
        name = _said(worker)
        assert len(name) == NAME_DIGITS
        worker.send_signal(signal.SIGSTOP)
        assert _dead(tmp_path / "workers") == []
        worker.kill()
        worker.wait(PATIENCE)
        assert _dead(tmp_path / "workers") == [name]
        assert _dead(tmp_path / "workers") == []


def test_a_worker_lives_as_long_as_any_of_its_processes(tmp_path: Path) -> None:
    with _worker(tmp_path / "workers", "fork") as worker:
        name, child = _said(worker), int(_said(worker))
        worker.kill()
        worker.wait(PATIENCE)
        assert _dead(tmp_path / "workers") == []
        os.kill(child, signal.SIGKILL)
        # Its pipe ends when the child is gone, too, and its lock about then.
        assert worker.stdout is not None
        assert worker.stdout.read() == ""
        until(lambda: _dead(tmp_path / "workers") == [name])


def test_who_ends_in_good_order_takes_leave(tmp_path: Path) -> None:
    with _worker(tmp_path / "workers") as worker:
        assert _said(worker)
        worker.communicate("", timeout=PATIENCE)
        assert worker.returncode == 0
    assert list((tmp_path / "workers").iterdir()) == []


def test_the_dead_are_remembered_until_somebody_has_acted(tmp_path: Path) -> None:
    with _worker(tmp_path / "workers") as worker:
        name = _said(worker)
    with pytest.raises(ZeroDivisionError), Presence(tmp_path / "workers").of_the_dead():
        raise ZeroDivisionError
    assert _dead(tmp_path / "workers") == [name]


def test_other_files_are_nobodys(tmp_path: Path) -> None:
    for name in ("0", "README", "0" * (NAME_DIGITS + 1)):
        (tmp_path / name).touch()
    (tmp_path / ("a" * NAME_DIGITS)).mkdir()
    assert _dead(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 5


def test_where_no_lock_can_be_had_nobody_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "workers").touch()
    assert Presence(tmp_path / "workers").name() == ""
    assert _dead(tmp_path / "workers") == []


def test_a_disk_that_knows_no_locks_is_left_as_it_was(tmp_path: Path) -> None:
    strace = [needed("strace"), "-f", "-qq", "-o", str(tmp_path / "calls"), "-e", "trace=flock"]
    strace += ["-e", "inject=flock:error=ENOLCK"]
    command = [*strace, sys.executable, "-c", WORKER, str(tmp_path / "workers")]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "\n"
    assert "(INJECTED)" in (tmp_path / "calls").read_text()
    assert list((tmp_path / "workers").iterdir()) == []


def test_where_no_spool_is_mounted_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "id").unlink()
    assert Presence(tmp_path / "workers").name() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_what_a_killed_worker_held_and_was_told_of_is_due_at_the_next_tick(world: Installation) -> None:
    factories.recorded_session(world, segments=3)
    now = timezone.now()
    Chunk.objects.update(hinted_at=now)
    first = Chunk.objects.order_by("sequence").values_list("pk", flat=True)[0]
    own = replace(world)  # a worker does not inherit the lock of whoever looks for the dead

    assert run_forked(lambda: pipeline.run(["capture"], [first], world=own), failpoint="claimed") == KILLED
    assert Chunk.objects.get(pk=first).lease_until > now + leases.LEASE - timedelta(seconds=1)

    assert setbacks.let_go_of_the_dead(world.presence) == 1
    held = Chunk.objects.get(pk=first)
    assert held.token
    assert held.lease_until is None
    assert held.next_attempt_at <= timezone.now() + timedelta(seconds=setbacks.LONGEST_AFTER_LOSS)
    assert set(Chunk.objects.values_list("hinted_at", flat=True)) == {None}
    assert setbacks.let_go_of_the_dead(world.presence) == 0


@pytest.mark.django_db(transaction=True)
def test_nothing_is_taken_from_another_worker(world: Installation) -> None:
    factories.recorded_session(world, segments=2)
    one, other = Chunk.objects.order_by("sequence")
    Chunk.objects.filter(pk=one.pk).update(token="a" * 32, lease_until=timezone.now() + leases.LEASE)
    Chunk.objects.filter(pk=other.pk).update(token="b" * 32, lease_until=timezone.now() + leases.LEASE)
    world.presence.root.mkdir()
    (world.presence.root / ("a" * NAME_DIGITS)).touch()
    assert setbacks.let_go_of_the_dead(world.presence) == 1
    assert Chunk.objects.get(pk=one.pk).lease_until is None
    assert Chunk.objects.get(pk=other.pk).lease_until > timezone.now()


@pytest.mark.django_db(transaction=True)
def test_a_claim_carries_the_name_of_who_made_it(world: Installation) -> None:
    session = factories.recorded_session(world, segments=1)
    chunk = Chunk.objects.get(session=session)
    named = leases.claim(
        pipeline.STAGES["capture"], [chunk.pk], spool=world.spool.identity, worker=world.presence.name()
    )
    assert [row.token[:NAME_DIGITS] for row in named] == [world.presence.name()]
    assert [len(row.token) for row in named] == [leases.TOKEN_DIGITS]
    assert list(leases.held_by(world.presence.name())) == named


@pytest.mark.django_db(transaction=True)
def test_a_hosts_recorder_looks_for_its_dead(world: Installation) -> None:
    factories.recorded_session(world, segments=1)
    Chunk.objects.update(token="a" * 32, lease_until=timezone.now() + leases.LEASE)
    world.presence.root.mkdir()
    (world.presence.root / ("a" * NAME_DIGITS)).touch()
    filing = Filing(intake.Intake(world.spool))
    filing.start()
    until(Chunk.objects.filter(token="a" * 32, lease_until=None).exists)
    filing.finish()
    assert list(world.presence.root.iterdir()) == []
