"""No two test processes are given the same port, and none that the kernel may pick for somebody else."""

import subprocess
import sys
from pathlib import Path

from tests.ports import BLOCKS, EACH, FIRST, free_port, own_number

ASK = """
import sys
from tests.ports import free_port, own_number
print(free_port(), own_number(), flush=True)
sys.stdin.read()
"""


def test_processes_side_by_side_have_ports_of_their_own() -> None:
    command, pipe = [sys.executable, "-c", ASK], subprocess.PIPE
    asked = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    told = [[int(word) for word in one.stdout.readline().split()] for one in asked if one.stdout]
    told.append([free_port(), own_number()])
    for one in asked:
        one.communicate()
    blocks = {(port - FIRST) // EACH for port, _ in told}
    assert len(blocks) == len(asked) + 1
    assert {number for _, number in told} == blocks


def test_a_port_comes_back_only_after_all_others() -> None:
    given = [free_port() for _ in range(EACH // 2)]
    assert len(set(given)) == len(given)


def test_no_connection_of_anybody_can_take_one() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest >= FIRST + BLOCKS * EACH
