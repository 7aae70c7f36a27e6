"""The RDP client of this host, FreeRDP 3 or FreeRDP 2, and how each is called: nothing in it is secret."""

from __future__ import annotations

import contextlib
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import TimeoutExpired, run
from typing import Literal

from recorder.errors import BadSource
from recorder.sources.certificate import Certificate
from recorder.sources.reach import Endpoint
from recorder.sources.target import Target

Version = Literal[2, 3]
# Debian's and Ubuntu's name for FreeRDP 3; elsewhere xfreerdp is either.
NEWER, EITHER = "xfreerdp3", "xfreerdp"
HEARD = ["/sound:sys:pulse,latency:30"]  # milliseconds in the client: without it, two seconds
UNHEARD = ["/audio-mode:2"]


# Where FreeRDP keeps the number of its window for others, by its process number.
_SHARED, _SHARED_PREFIX = Path("/dev/shm"), "com.freerdp.xfreerdp.tsmf_"  # noqa: S108  # nosec B108


@dataclass(frozen=True)
class Client:
    """A client program: its path, and whose options it knows."""

    program: str
    version: Version

    def argv(
        self, target: Target, endpoint: Endpoint, *, certificate: Certificate, size: tuple[int, int]
    ) -> list[str]:
        """How it is called to log on to a server that shows this certificate, and to no other."""
        return [
            self.program,
            f"/v:{endpoint}",
            f"/u:{target.username}",
            *([f"/d:{target.domain}"] if target.domain else []),
            "/from-stdin:force",
            f"/cert:fingerprint:sha256:{certificate.pretty.lower()}",
            # Not the protection that shows a password to whoever stands between. FreeRDP 3 ends at 2's
            # word for that, and 2 passes over 3's and would allow it.
            "/sec:rdp:off" if self.version == 3 else "-sec-rdp",
            f"/size:{size[0]}x{size[1]}",
            "/bpp:32",
            "-decorations",
            "-grab-keyboard",
            "-auto-reconnect",  # the recorder does that, and writes down the gap
        ]


def client() -> Client:
    """The newer of what is installed; `BadSource` when neither is."""
    for name in (NEWER, EITHER):
        if program := shutil.which(name):
            return Client(program, 3 if name == NEWER else _version(program))
    raise BadSource(
        f"Neither {NEWER} nor {EITHER} is installed on the recorder's host. "
        "Install the package freerdp3-x11, or freerdp2-x11 where that is not to be had."
    )


def forget_gone() -> None:
    """Remove what clients that are gone left in memory: FreeRDP does so only when its window is closed."""
    for path in _SHARED.glob(f"{_SHARED_PREFIX}*"):
        with contextlib.suppress(ValueError, OSError):  # another's name, or another's file
            if not Path(f"/proc/{int(path.name.removeprefix(_SHARED_PREFIX), 16)}").exists():
                path.unlink()


@cache
def _version(program: str) -> Version:
    with contextlib.suppress(OSError, TimeoutExpired):
        told = run([program, "/version"], capture_output=True, text=True, check=False, timeout=20).stdout
        # FreeRDP 2 wants a display before it says anything.
        version = re.search(r"version (\d+)", told)
        if version and int(version[1]) >= 3:
            return 3
    return 2
