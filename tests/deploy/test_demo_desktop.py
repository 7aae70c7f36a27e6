"""The demonstration's desktop, started for real: it speaks TLS and shows the certificate that it names."""

import contextlib
import hashlib
import socket
import ssl
import sys
from pathlib import Path

from tests.deploy.parts import DEPLOY, system_tool
from tests.deploy.serving import await_ready, started
from tests.ports import free_port
from tests.waiting import PATIENCE

# The start of an RDP connection that asks for TLS (MS-RDPBCGR 2.2.1.1), and the answer's type.
ASK_FOR_TLS = bytes.fromhex("030000130ee000000000000100080001000000")
CONFIRMED = 0xD0


def test_the_desktop_answers_with_the_certificate_that_it_names(tmp_path: Path) -> None:
    for name, package in (("xrdp", "xrdp"), ("Xvnc", "tigervnc-standalone-server")):
        system_tool(name, package=package)
    port, log = free_port(), tmp_path / "log"
    words = ("--port", str(port), "--address", "127.0.0.1", "--home", tmp_path / "home")
    with started(sys.executable, DEPLOY / "docker/demo_desktop.py", *words, log=log) as program:
        await_ready(lambda: _accepts(port), program=program, log=log)
        shown = _certificate(port)
    assert f"fingerprint {shown}" in log.read_text()


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _certificate(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        line.sendall(ASK_FOR_TLS)
        assert line.recv(64)[5] == CONFIRMED
        # Only the fingerprint counts, as for the recorder.
        context = ssl._create_unverified_context()  # noqa: S323
        with context.wrap_socket(line) as secured:
            seen = secured.getpeercert(binary_form=True) or b""
    digest = hashlib.sha256(seen).hexdigest().upper()
    return ":".join(digest[start : start + 2] for start in range(0, 64, 2))
