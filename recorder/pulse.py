"""Where the sound of a desktop is heard: in a private PulseAudio, or in the one that a display plays to.

Both come down to an environment in which a client of PulseAudio finds its server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from recorder.errors import BadSource, SourceAway
from recorder.xvfb import WITH_US, sweep

PREFIX = "lucid-sound-"
START_WITHIN = 10.0
END_WITHIN = 2.0
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
USERS = ("HOME", "XDG_RUNTIME_DIR", "PULSE_SERVER", "PULSE_COOKIE")
# Looking for a server must not start one.
NO_NEW_SERVER = Path(__file__).with_name("pulse-client.conf")


class PrivateSound:
    """A PulseAudio server with one sink that plays to nowhere: the recorder alone hears it.

    `server` is its address, for PULSE_SERVER. Its socket lies in a directory of mode 0700 that goes with it.
    """

    def __init__(self) -> None:
        if shutil.which("pulseaudio") is None:
            raise BadSource("pulseaudio is not installed on this host. Install the package pulseaudio.")
        sweep(PREFIX)
        self.home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        socket = self.home / "native"
        self.server = f"unix:{socket}"
        self._process = subprocess.Popen(
            [*WITH_US, *_argv(socket)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(self.home),
        )
        until = time.monotonic() + START_WITHIN
        while not socket.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.close()
                raise SourceAway("No private sound server could be started. Check that pulseaudio runs here.")
            time.sleep(0.02)

    @property
    def environment(self) -> dict[str, str]:
        """In which a client plays to, or listens to, this server."""
        return environment(self.home) | {"PULSE_SERVER": self.server}

    def close(self) -> None:
        """End the server and leave nothing behind."""
        self._process.terminate()
        try:
            self._process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def of_users(server: str) -> dict[str, str]:
    """In which a client finds this server, else the one that this user's clients find.

    One recorder records many displays: what its variables name is not what each of them plays to.
    """
    found = {name: os.environ[name] for name in (*PASSED_ON, *USERS) if name in os.environ}
    named = {"PULSE_SERVER": server} if server else {}
    return {**found, **named, "PULSE_CLIENTCONFIG": str(NO_NEW_SERVER)}


def environment(home: Path) -> dict[str, str]:
    """What a PulseAudio program needs to keep to itself in a directory."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PULSE_RUNTIME_PATH": str(home)}


def _argv(socket: Path) -> list[str]:
    modules = (
        f"module-native-protocol-unix socket={socket}",
        "module-null-sink sink_name=lucid rate=48000 channels=2",
    )
    quiet = ["--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]
    return ["pulseaudio", "-n", *quiet, "--realtime=no", "--high-priority=no"] + [
        word for module in modules for word in ("-L", module)
    ]
