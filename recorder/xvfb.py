"""A private X display for one client program: its own cookie, no network, gone with its owner."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from recorder.errors import BadSource, SourceAway

PREFIX = "lucid-display-"
START_WITHIN = 10.0
END_WITHIN = 2.0
BREAKS_BEFORE = 0.5
COOKIE = b"MIT-MAGIC-COOKIE-1"
_FAMILY_WILD = 0xFFFF
# The whole tie to us: signalled when the thread that started it is gone, however it went.
WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
# Numbers of Linux capabilities (capabilities(7)): to give up others for ever, to mount.
_SETPCAP, _SYS_ADMIN = 8, 21


class PrivateDisplay:
    """An Xvfb that nobody without the cookie can use. `run` starts programs on it; `close` ends them all.

    Everything it needs on disk is in `home`, a directory of mode 0700, which also is the programs' home.
    """

    def __init__(self, width: int, height: int) -> None:
        _need("Xvfb", package="xvfb")
        sweep(PREFIX)
        self.home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._programs: list[subprocess.Popen[str]] = []
        self.authority = self.home / "Xauthority"
        try:
            _write_cookie(self.authority)
            self._server, self.name = _start(width, height, authority=self.authority, home=self.home)
        except BaseException:
            shutil.rmtree(self.home, ignore_errors=True)
            raise

    @property
    def pid(self) -> int:
        """The server's process number."""
        return self._server.pid

    def has_ended(self) -> bool:
        """Whether the server is gone. Its connections break a moment earlier: that long it is waited for."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(BREAKS_BEFORE)
        return self._server.poll() is not None

    def run(self, argv: Sequence[str], *, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """A program on this display, with pipes to its input and from its output (errors included).

        `more` joins its environment. It cannot mount, and what it keeps for a while is in `home`.
        """
        program = subprocess.Popen(
            [*WITH_US[:-1], *_unable_to_mount(), *WITH_US[-1:], *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=self.home,
            env=_environment(self.home)
            | {"DISPLAY": self.name, "XAUTHORITY": str(self.authority), "TMPDIR": str(self.home)}
            | dict(more or {}),
        )
        self._programs.append(program)
        return program

    def close(self) -> None:
        """End the programs, then the server, and leave nothing behind."""
        for process in (*self._programs, self._server):
            _end(process)
        shutil.rmtree(self.home, ignore_errors=True)


def _write_cookie(path: Path) -> None:
    """A fresh cookie in the format of xauth; an empty display number stands for every one."""
    fields = (b"", b"", COOKIE, os.urandom(16))
    content = b"".join(struct.pack(">H", len(field)) + field for field in fields)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(struct.pack(">H", _FAMILY_WILD) + content)


def _start(width: int, height: int, *, authority: Path, home: Path) -> tuple[subprocess.Popen[str], str]:
    reading, writing = os.pipe()
    argv = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24"]
    # No backing store: no window covers another, and it would be one more picture of the whole screen.
    argv += ["-nolisten", "tcp", "-noreset", "-auth", str(authority), "-extension", "GLX", "-bs"]
    server = subprocess.Popen(
        [*WITH_US, *argv],
        pass_fds=[writing],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(home),
    )
    os.close(writing)
    with os.fdopen(reading) as answer:
        ready, _, _ = select.select([answer], [], [], START_WITHIN)
        number = answer.readline().strip() if ready else ""
    if not number:
        _end(server)
        raise SourceAway(
            "No private display could be started. Check that Xvfb runs on this host, and its memory."
        )
    return server, f":{number}"


def _environment(home: Path) -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {"HOME": str(home)}


def _unable_to_mount() -> list[str]:
    """Words for setpriv that start a program which cannot mount, neither itself nor by a program that may.

    FreeRDP 3 mounts a file system for files that are copied on the remote desktop. Nobody wants them
    here, and of a client that is killed it would stay for ever.
    """
    held = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    ours = int(held[1], 16) if held else 0
    may_both = all(ours >> capability & 1 for capability in (_SETPCAP, _SYS_ADMIN))
    return ["--no-new-privs", *(["--bounding-set=-sys_admin"] if may_both else [])]


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _need(program: str, *, package: str) -> None:
    if shutil.which(program) is None:
        raise BadSource(f"{program} is not installed on the recorder's host. Install the package {package}.")


def forget(pid: int) -> None:
    """Remove what the displays and sound servers of a process left that is gone, however it went."""
    for path in Path(tempfile.gettempdir()).glob(f"lucid-*-{pid}-*"):
        shutil.rmtree(path, ignore_errors=True)


def sweep(prefix: str) -> None:
    """Remove what recorders that were killed left behind: directories named by owners that are gone."""
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        owner = re.match(rf"{prefix}(\d+)-", path.name)
        if owner and not Path(f"/proc/{owner[1]}").exists() and time.time() - path.stat().st_mtime > 5:
            shutil.rmtree(path, ignore_errors=True)
