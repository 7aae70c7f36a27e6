"""What takes too long to end is ended, and what had no time to end is not."""

import signal
import subprocess
import sys
import time

from tests.waiting import PATIENCE, until

from .stage import ROOT
from .test_child import stands_still

ENDING = """
import os, signal, sys, time
from recorder.end_limit import EndLimit

EndLimit(3).begin_anew()
if sys.argv[1] == "stands still":
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.5)
else:
    time.sleep(600)
os._exit(0)
"""


def ending(how: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", ENDING, how], stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_what_hangs_at_its_end_is_ended_and_tells_where() -> None:
    with ending("hangs") as process:
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "most recent call first" in told


def test_what_stood_still_at_its_end_may_go_on() -> None:
    with ending("stands still") as process:
        until(lambda: stands_still(process.pid))
        time.sleep(5)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
