"""`manage.py record` on a terminal: a live line, and Ctrl-C that ends the recording and not the archiving."""

import codecs
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lucid_sessions.recordings import sealing, targets
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.lifecycle import Desired, Status
from lucid_sessions.recordings.models import Session
from tests.tasks.workers import environment
from tests.waiting import PATIENCE, until

from .test_record_to_export import stack as stack

# Tests that run in the background of a shell ignore Ctrl-C, and so would the command.
RECORD = ["env", "--default-signal=INT", sys.executable, "manage.py", "record", "synthetic://320x240"]
PRESSES = 100
INTERRUPTED = 130

pytestmark = pytest.mark.django_db(transaction=True)


class Terminal:
    """A terminal with a command in it, and all that it has shown."""

    def __init__(self, *argv: str, env: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.command = subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""
        threading.Thread(target=self._read, daemon=True).start()

    def type(self, text: str) -> None:
        """Somebody types."""
        os.write(self._ours, text.encode())

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end within a character
        while True:
            try:
                self.shown += decoder.decode(os.read(self._ours, 4096))
            except OSError:  # the last program has closed it
                return


def test_a_recording_is_watched_and_ended_by_ctrl_c(
    world: Installation, stack: dict[str, str], tmp_path: Path
) -> None:
    terminal = Terminal(*RECORD, env=stack)
    try:
        line = re.compile(
            r"\r\x1b\[K0:\d\d:\d\d  \d+\.\d fps  [1-9]?\d\.\d MB  recording: .* chunks anchored"
        )
        until_shown(terminal, lambda: line.search(terminal.shown), world)
        terminal.command.send_signal(signal.SIGINT)
        until_shown(terminal, lambda: terminal.command.poll() is not None, world)
    finally:
        terminal.command.kill()
    assert terminal.command.returncode == 0, terminal.shown
    assert "Stopping the recording" in terminal.shown
    assert Session.objects.get().status == Status.COMPLETED


def test_ctrl_c_pressed_again_and_again_changes_nothing(world: Installation, tmp_path: Path) -> None:
    """From the moment that there is a session on, whatever the command is just doing."""
    terminal = Terminal(*RECORD, env=environment(world, "redis://127.0.0.1:1/0"))
    try:
        until(Session.objects.exists, every=0.001)
        for _ in range(PRESSES):
            terminal.command.send_signal(signal.SIGINT)
            time.sleep(0.004)
        until(lambda: Session.objects.get().desired == Desired.STOP)
        until(lambda: "Stopping the recording" in terminal.shown)
        until(lambda: "stopping" in terminal.shown.partition("Stopping the recording")[2])
        assert terminal.command.poll() is None, terminal.shown
    finally:
        terminal.command.kill()
        terminal.command.wait()
    assert terminal.shown.count("Stopping the recording") == 1
    assert "Traceback" not in terminal.shown


def test_ctrl_c_before_there_is_a_session_ends_with_one_line(world: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        argv = [*RECORD[:-1], f"vnc://127.0.0.1:{server.getsockname()[1]}"]
        env = environment(world, "redis://127.0.0.1:1/0", LUCID_TARGET_ALLOW="127.0.0.0/8")
        terminal = Terminal(*argv, env=env)
        try:
            until(lambda: "Password of" in terminal.shown)
            terminal.command.send_signal(signal.SIGINT)
            assert terminal.command.wait(PATIENCE) == INTERRUPTED
            until(lambda: "Interrupted." in terminal.shown)
        finally:
            terminal.command.kill()
            terminal.command.wait()
    assert terminal.shown.split()[-1] == "Interrupted."
    assert not Session.objects.exists()
    assert not list((world.keys_root / "targets").glob("*"))


def test_a_password_is_asked_for_and_not_shown(world: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        argv = [sys.executable, "manage.py", "record", f"vnc://{place}", "--detach"]
        env = environment(world, "redis://127.0.0.1:1/0", LUCID_TARGET_ALLOW="127.0.0.0/8")
        terminal = Terminal(*argv, env=env)
        try:
            until_shown(terminal, lambda: f"Password of {place}" in terminal.shown, world)
            terminal.type("open sesame\n")
            until_shown(terminal, lambda: terminal.command.poll() is not None, world)
        finally:
            terminal.command.kill()
    assert terminal.command.returncode == 0, terminal.shown
    assert "sesame" not in terminal.shown
    assert targets.password_of(world.keys, Session.objects.get().pk) == "open sesame"


def until_shown(terminal: Terminal, happened: object, world: Installation) -> None:
    """Wait for it; there is no beat here, so what it would ask for is asked for by us."""
    deadline = time.monotonic() + PATIENCE
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline, terminal.shown
        sealing.seal(world)
        time.sleep(0.5)
