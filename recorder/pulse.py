"""A private PulseAudio: what programs play into it is heard by the recorder alone, and by no loudspeaker."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from recorder.errors import BadSource, SourceAway
from recorder.xvfb import WITH_US

PREFIX = "lucid-sound-"
START_WITHIN = 10.0
END_WITHIN = 2.0
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


class PrivateSound:
    """A PulseAudio server with one sink that plays to nowhere. `server` is its address, for PULSE_SERVER.

    Its socket lies in a directory of mode 0700 that goes with it.
    """

    def __init__(self) -> None:
        if shutil.which("pulseaudio") is None:
            raise BadSource("pulseaudio is not installed on this host. Install the package pulseaudio.")
        self.home = Path(tempfile.mkdtemp(prefix=PREFIX))
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

    def close(self) -> None:
        """End the server and leave nothing behind."""
        self._process.terminate()
        try:
            self._process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


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
