"""Network namespaces: a network of its own for what a test starts, where every port is free."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.deploy.parts import ROOT, run, said
from tests.programs import lacking, needed


def named(space: str) -> str:
    """The kernel's name of this process' namespace."""
    return f"lucid-{os.getpid()}-{space}"


def inside(space: str, *command: str) -> list[str]:
    """The command line that runs `command` there."""
    return ["ip", "netns", "exec", named(space), *command]


def ip(*words: str) -> None:
    """Done by iproute2."""
    ended = run("ip", *words)
    assert ended.returncode == 0, said(ended)


def add(space: str) -> None:
    """It is there, with a loopback that works and nothing else."""
    if os.geteuid() != 0:
        lacking("Only root can make network namespaces: run the tests as root.")
    needed("ip", package="iproute2")
    ip("netns", "add", named(space))
    ip("-n", named(space), "link", "set", "lo", "up")


def remove(space: str) -> None:
    """It is gone, and what ran in it was killed."""
    kill_all(space)
    run("ip", "netns", "delete", named(space))


def kill_all(space: str) -> None:
    """Nothing that this looked at runs there any more; nothing of it had a chance to say goodbye."""
    # What a killed parent has started just now may appear after the first look.
    while pids := run("ip", "netns", "pids", named(space)).stdout.split():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(int(pid), os.WNOHANG)
        time.sleep(0.05)


@contextlib.contextmanager
def stores(space: str) -> Iterator[tuple[str, str]]:
    """The addresses, as seen there, of a MongoDB and a Redis that run there within the block."""
    told = ("sh", "-c", "echo $MONGODB_URL; echo $REDIS_URL; exec cat >/dev/null")
    command = inside(space, sys.executable, "-m", "tests.servers", "mongod", "redis", "--", *told)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as servers:
        assert servers.stdout
        try:
            yield servers.stdout.readline().strip(), servers.stdout.readline().strip()
        finally:
            # They stop when nobody can ask them to go on.
            servers.communicate()
