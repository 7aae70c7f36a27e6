"""Programs under one supervisor: started in order, kept running, stopped in reverse, nothing left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lucid_sessions.errors import Retryable
from lucid_sessions.operations.children import HEALTHY_SECONDS, Program
from lucid_sessions.operations.stack import KEEP_ENDING, Stack
from tests.operations.processes import ROOT, of_home
from tests.waiting import PATIENCE, until

# Writes its name when it starts and when it is asked to stop.
ORDERLY = """
import signal, sys, time
name, diary = sys.argv[1:]
def note(what):
    with open(diary, "a") as book: book.write(what + " " + name + "\\n")
signal.signal(signal.SIGTERM, lambda *_: (note("stop"), sys.exit(0)))
note("start")
time.sleep(600)
"""
# With ten children that are long in dying: there is much in their memory, and they come last.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
out, told = os.pipe()
for _ in range(10):
    if not os.fork():
        os.nice(19)
        held = bytes(range(256)) * (20 << 12)
        os.write(told, b".")
        time.sleep(600)
for _ in range(10):
    os.read(out, 1)
open(sys.argv[1], "w").write("ready")
time.sleep(600)
"""


def program(home: Path, name: str, code: str, *arguments: str, stop_seconds: float = 10.0) -> Program:
    command = (sys.executable, "-c", code, *arguments)
    env = {**os.environ, "LUCID_HOME": str(home)}
    return Program(name, command, env, home, stop_seconds=stop_seconds)


def tended(stack: Stack, condition: Callable[[], bool]) -> None:
    def look() -> bool:
        stack.tend()
        return condition()

    until(look, "the stack got there")


def test_programs_stop_in_the_reverse_of_the_order_they_started_in(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    names = ("first", "second", "third")
    with Stack(
        [program(tmp_path, n, ORDERLY, n, str(diary)) for n in names], logs=tmp_path, say=print
    ) as stack:
        for count, name in enumerate(names, start=1):
            stack.start(name)
            until(lambda n=count: diary.exists() and len(diary.read_text().splitlines()) == n, name)
    assert diary.read_text().splitlines()[3:] == ["stop third", "stop second", "stop first"]
    assert of_home(tmp_path) == []


def test_a_program_that_dies_is_started_again_after_a_growing_wait(tmp_path: Path) -> None:
    said: list[str] = []
    frail = program(tmp_path, "frail", "raise SystemExit(7)")
    with Stack([frail], logs=tmp_path, say=said.append, home=tmp_path) as stack:
        stack.start()
        tended(stack, lambda: stack.child("frail").restarts == 1)
        assert not (tmp_path / KEEP_ENDING).exists()
        tended(stack, lambda: len(said) == 3)
        # For the processes that answer for it.
        assert (tmp_path / KEEP_ENDING).read_text() == "frail"
    with Stack([frail], logs=tmp_path, say=said.append, home=tmp_path):
        assert not (tmp_path / KEEP_ENDING).exists()
    waits = [line.split("again in ")[1].split(" s")[0] for line in said]
    assert waits == ["0.5", "1.0", "2.0"]
    assert all(line.startswith("frail ended with status 7") for line in said)


def test_one_that_ended_while_nobody_looked_has_not_lasted_until_then(tmp_path: Path) -> None:
    said: list[str] = []
    frail = program(tmp_path, "frail", "raise SystemExit(7)")
    with Stack([frail], logs=tmp_path, say=said.append) as stack:
        stack.start()
        tended(stack, lambda: len(said) == 3)
        tended(stack, lambda: stack.child("frail").restarts == 3)
        time.sleep(HEALTHY_SECONDS + 1)
        assert stack.keep_ending == ["frail"]
        tended(stack, lambda: len(said) == 4)
    assert "again in 4.0 s" in said[3]


LEISURELY = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(0)))
open(sys.argv[1], "w").write("ready")
time.sleep(600)
"""
STOPPING = """
import os, sys
from pathlib import Path
from lucid_sessions.operations.children import Program
from lucid_sessions.operations.stack import Stack
home, command = Path(sys.argv[1]), (sys.executable, "-c", *sys.argv[2:])
leisurely = Program("leisurely", command, dict(os.environ), home, stop_seconds=6.0)
with Stack([leisurely], logs=home, say=print) as stack:
    stack.start()
    print(stack.child("leisurely").pid, flush=True)
    sys.stdin.readline()
"""


def test_what_stood_still_with_us_has_its_time_to_stop(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = [sys.executable, "-c", STOPPING, str(tmp_path), LEISURELY, str(ready)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        until(lambda: ready.exists() and bool(ready.read_text()), "the program runs")
        os.killpg(child, signal.SIGSTOP)
        assert supervisor.stdin is not None
        supervisor.stdin.write("\n")
        supervisor.stdin.flush()
        time.sleep(0.5)
        supervisor.send_signal(signal.SIGSTOP)
        time.sleep(7)
        supervisor.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        os.killpg(child, signal.SIGCONT)
        said = supervisor.stdout.read()
    assert said == ""


def test_a_killed_program_is_reported_by_its_signal(tmp_path: Path) -> None:
    said: list[str] = []
    sleeper = program(tmp_path, "sleeper", "import time; time.sleep(600)")
    with Stack([sleeper], logs=tmp_path, say=said.append) as stack:
        stack.start()
        os.kill(stack.child("sleeper").pid or 0, signal.SIGKILL)
        tended(stack, lambda: bool(said))
    assert said[0].startswith("sleeper was killed by SIGKILL; it starts again in 0.5 s. See ")


def test_what_ignores_the_request_to_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    said: list[str] = []
    ready = tmp_path / "ready"
    stubborn = program(tmp_path, "stubborn", STUBBORN, str(ready), stop_seconds=0.2)
    with Stack([stubborn], logs=tmp_path, say=said.append) as stack:
        stack.start()
        until(lambda: ready.exists() and bool(ready.read_text()), "the program and its children run")
        assert len(of_home(tmp_path)) == 11
    assert of_home(tmp_path) == []
    assert said == ["stubborn did not stop in 0 s: killed."]


def test_what_does_not_come_up_is_named_with_its_last_words(tmp_path: Path) -> None:
    broken = program(tmp_path, "broken", "raise SystemExit('no such thing')")
    with Stack([broken], logs=tmp_path, say=print) as stack:
        stack.start()
        with pytest.raises(Retryable, match="broken keeps ending: no such thing"):
            stack.wait_until(lambda: False, what="The thing", seconds=PATIENCE)


SUPERVISOR = """
import os, sys, time
from pathlib import Path
from lucid_sessions.operations.children import Program
from lucid_sessions.operations.stack import Stack
home = Path(sys.argv[1])
sleeper = Program("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), dict(os.environ), home)
with Stack([sleeper], logs=home, say=print) as stack:
    stack.start()
    print("started", flush=True)
    time.sleep(600)
"""


def test_nothing_survives_a_killed_supervisor(tmp_path: Path) -> None:
    env = {**os.environ, "LUCID_HOME": str(tmp_path)}
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "started\n"
        until(lambda: len(of_home(tmp_path)) == 2, "supervisor and program run")
        supervisor.kill()
    until(lambda: of_home(tmp_path) == [], "the program ended with its supervisor")
