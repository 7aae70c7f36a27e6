"""A host takes no more sessions than it has processor time for; each is measured, none is guessed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from recorder.budget import UNMEASURED, Budget, processor_seconds, usable_cores
from recorder.spool import Spool
from recorder.supervisor import Load, Policy
from tests.waiting import until

from .stage import SMALL, MemoryView, supervising

BUSY = "while True: pass"
IN_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"


def test_what_a_sessions_programs_use_counts_too() -> None:
    program = subprocess.Popen([sys.executable, "-c", IN_A_CHILD], start_new_session=True)
    try:
        until(lambda: processor_seconds(program.pid) > 0.5)
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    finally:
        for pid in (program.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        program.wait()


def test_without_a_measurement_a_session_counts_for_a_quarter_of_a_core() -> None:
    budget = Budget(4 * UNMEASURED)
    assert budget.load(3).refusal is None
    refusal = budget.load(4).refusal
    assert refusal is not None
    assert "use 1.00 cores of the 1.00" in refusal
    # Whoever has nothing to do takes one session, however little it may use.
    assert Budget(0.01).load(0).refusal is None
    assert Budget(None).load(1000).refusal is None


def test_sessions_that_were_measured_count_for_what_they_use() -> None:
    idle = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        session, budget = uuid4(), Budget(2 * UNMEASURED)
        now = time.monotonic()
        budget.look({session: idle.pid}, now=now)
        assert budget.load(2).refusal is not None
        for second in range(1, 8):
            budget.look({session: idle.pid}, now=now + second)
        load = budget.load(2)
        assert load.refusal is None
        assert load.used < 0.1
        budget.look({}, now=now + 9)
        assert budget.load(0).used == 0
    finally:
        idle.kill()
        idle.wait()


def test_a_machine_that_stood_still_is_not_taken_for_one_with_little_to_do() -> None:
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        session, budget = uuid4(), Budget(1.0)
        began = time.monotonic()
        while time.monotonic() < began + 7:
            budget.look({session: busy.pid})
            time.sleep(1)
        used = budget.load(1).used
        assert used > 0
        busy.send_signal(signal.SIGSTOP)  # with all else; the clock went on for half a minute
        budget.look({session: busy.pid}, now=time.monotonic() + 30)
        assert budget.load(1).used == used
    finally:
        busy.kill()
        busy.wait()


def test_a_host_that_is_fully_used_refuses_says_so_and_takes_it_when_there_is_room(tmp_path: Path) -> None:
    view = MemoryView()
    told: list[Load] = []
    first = view.want(SMALL)
    policy = Policy(first_backoff=0.1, cores=0.001)
    with supervising(Spool(tmp_path), view, policy=policy, loaded=told.append):
        until(lambda: "recording" in view.kinds(first))
        second = view.want(SMALL)
        refused = until(lambda: view.last(second, "failed"))
        assert refused.facts["refused"]
        assert "Host test-host is fully used: its 1 recordings use" in refused.reason
        until(lambda: told and told[-1].refusal)
        view.desire(first, "stop")
        until(lambda: "recording" in view.kinds(second))


def test_what_was_recorded_here_goes_on_however_busy_the_host_is(tmp_path: Path) -> None:
    view = MemoryView()
    policy = Policy(first_backoff=0.1, cores=0.001)
    keeps = view.want(SMALL)
    with supervising(Spool(tmp_path), view, policy=policy) as supervisor:
        until(lambda: "recording" in view.kinds(keeps))
        child = supervisor.children[keeps]
        os.kill(child, signal.SIGKILL)
        until(lambda: supervisor.children.get(keeps) not in (None, child))
        assert not any(event.facts.get("refused") for _, _, event in view.events)


def test_a_machine_has_cores() -> None:
    assert 0 < usable_cores() <= 4096
