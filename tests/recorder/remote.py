"""Real remote desktops on loopback: freerdp-shadow with NLA, xrdp with TLS to an Xvnc, and Xvnc itself."""

import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import xcffib
import xcffib.randr
import xcffib.xproto

from recorder.sources import certificate
from recorder.sources.reach import Endpoint
from tests.ports import free_port

NEEDED = ("Xvfb", "xfreerdp", "freerdp-shadow-cli", "xrdp", "Xvnc", "vncpasswd", "openssl")
MISSING = [program for program in NEEDED if shutil.which(program) is None]
USER, PASSWORD = "operator", "Kerguelen-4711-cabbage"
# MD4 of the password in UTF-16, which Python's hashlib does not always have.
NT_HASH = "b6bc997ff4513586141a32867cfc5168"
VNC_PASSWORD = "vncpw12"
ALLOWED = ("127.0.0.0/8",)


@dataclass
class Server:
    """A running server: where it listens, and the display whose desktop it shows."""

    port: int
    display: str
    process: subprocess.Popen[bytes]
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of its certificate."""
        from recorder.sources.target import parse

        return certificate.fingerprint(
            parse(f"rdp://any@127.0.0.1:{self.port}"), Endpoint("127.0.0.1", self.port)
        )

    def paint(self, colour: int) -> None:
        """All of the desktop in one colour, 0xRRGGBB."""
        connection = xcffib.Connection(display=self.display)
        root = connection.get_setup().roots[0].root
        size = connection.core.GetGeometry(root).reply()
        brush = connection.generate_id()
        connection.core.CreateGC(brush, root, xcffib.xproto.GC.Foreground, [colour])
        connection.core.PolyFillRectangle(
            root, brush, 1, [xcffib.xproto.RECTANGLE.synthetic(0, 0, size.width, size.height)]
        )
        connection.core.GetInputFocus().reply()
        connection.disconnect()

    def resize(self, width: int, height: int) -> None:
        """Give the desktop another size."""
        connection = xcffib.Connection(display=self.display)
        randr = connection(xcffib.randr.key)
        randr.QueryVersion(1, 5).reply()
        root = connection.get_setup().roots[0].root
        modes = randr.GetScreenInfo(root).reply()
        known = [(size.width, size.height) for size in modes.sizes]
        if (width, height) in known:
            chosen = known.index((width, height))
            randr.SetScreenConfig(root, modes.timestamp, modes.config_timestamp, chosen, 1, 0).reply()
            connection.disconnect()
            return
        (crtc,) = randr.GetScreenResourcesCurrent(root).reply().crtcs.list
        randr.SetCrtcConfig(crtc, 0, 0, 0, 0, 0, 1, 0, []).reply()
        randr.SetScreenSizeChecked(root, width, height, 85, 64).check()
        connection.disconnect()

    def freeze(self) -> None:
        """Stop it where it is: its connections stay open and nothing answers."""
        for process in self._all():
            os.kill(process, signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once, with the processes that it has for its connections."""
        for process in self._all():
            os.kill(process, signal.SIGKILL)
        self.process.wait()

    def _all(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]


@contextmanager
def running(
    *argv: str, port: int | None = None, stack: ExitStack | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it listens; ended at the end."""
    process = subprocess.Popen(
        argv,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        if port is not None:
            _wait_for(port, process)
        yield process
    finally:
        for number in _family(process.pid):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()


@contextmanager
def framebuffer(size: str = "640x480") -> Iterator[str]:
    """An Xvfb; its name."""
    reading, writing = os.pipe()
    argv = ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp", "-noreset", "-screen", "0", f"{size}x24"]
    server = subprocess.Popen(argv, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            yield f":{answer.readline().strip()}"
    finally:
        server.kill()
        server.wait()


@contextmanager
def shadow(folder: Path, *, size: str = "640x480", port: int | None = None) -> Iterator[Server]:
    """freerdp-shadow of an Xvfb, which wants NLA."""
    port = port or free_port()
    with framebuffer(size) as display, shadowing(display, folder, port=port) as process:
        server = Server(port, display, process)
        server.paint(0x336699)
        yield server


@contextmanager
def shadowing(display: str, folder: Path, *, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """freerdp-shadow of a display that is there already."""
    folder.mkdir(exist_ok=True)
    (folder / "sam").write_text(f"{USER}:::{NT_HASH}:::\n")
    argv = ["freerdp-shadow-cli", f"/port:{port}", "/bind-address:127.0.0.1", f"/sam-file:{folder / 'sam'}"]
    with running(*argv, "+auth", "/sec:nla", port=port, HOME=str(folder), DISPLAY=display) as process:
        yield process


@contextmanager
def xvnc(
    folder: Path, *, password: bool = True, size: str = "640x480", port: int | None = None
) -> Iterator[Server]:
    """TigerVNC's server, with a password or open."""
    folder.mkdir(exist_ok=True)
    secret = folder / "vnc-password"
    packed = subprocess.run(["vncpasswd", "-f"], input=VNC_PASSWORD.encode(), capture_output=True, check=True)
    secret.write_bytes(packed.stdout)
    port = port or free_port()
    reading, writing = os.pipe()
    argv = ["Xvnc", "-displayfd", str(writing), "-rfbport", str(port), "-interface", "127.0.0.1"]
    argv += ["-SecurityTypes", "VncAuth" if password else "None", "-PasswordFile", str(secret)]
    argv += ["-geometry", size, "-depth", "24", "-AlwaysShared", "-nolisten", "tcp"]
    process = subprocess.Popen(argv, pass_fds=[writing], stderr=subprocess.DEVNULL, start_new_session=True)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            ready, _, _ = select.select([answer], [], [], 15)
            assert ready, "Xvnc did not start"
            server = Server(port, f":{answer.readline().strip()}", process)
        server.paint(0x336699)
        yield server
    finally:
        process.kill()
        process.wait()


@contextmanager
def xrdp(folder: Path, *, sound: bool = False) -> Iterator[Server]:
    """xrdp with TLS, whose desktop is an Xvnc; with `sound` its channel server runs beside it."""
    folder.mkdir(exist_ok=True)
    key, pem = folder / "key.pem", folder / "cert.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    make += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(pem)]
    subprocess.run(make, check=True, capture_output=True)
    port = free_port()
    with xvnc(folder) as desktop:
        settings = folder / "xrdp.ini"
        settings.write_text(XRDP.format(port=port, folder=folder, vnc=desktop.port, password=VNC_PASSWORD))
        with ExitStack() as stack:
            if sound:
                with settings.open("a") as file:
                    file.write(f"chansrvport=DISPLAY({desktop.display[1:]})\n")
                Path("/run/xrdp/sockdir").mkdir(parents=True, exist_ok=True)
                homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "DISPLAY": desktop.display}
                stack.enter_context(running("xrdp-chansrv", **homes))
            process = stack.enter_context(running("xrdp", "--nodaemon", "-c", str(settings), port=port))
            yield Server(port, desktop.display, process, [desktop.process])


class XrdpSound:
    """What a desktop of xrdp plays: the protocol of its module for PulseAudio, towards its channel server."""

    RATE = 44_100

    def __init__(self, server: Server) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(f"/run/xrdp/sockdir/xrdp_chansrv_audio_out_socket_{server.display[1:]}")

    def play(self, samples: bytes) -> None:
        """Play samples (16 bits, stereo) as fast as they sound."""
        for start in range(0, len(samples), 4096):
            part = samples[start : start + 4096]
            self._connection.sendall(struct.pack("<II", 0, len(part) + 8) + part)
            time.sleep(len(part) / self.RATE / 4)

    def close(self) -> None:
        """Stop playing."""
        self._connection.close()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
            assert time.monotonic() < until, f"{process.args} does not listen"
            time.sleep(0.05)
        else:
            return


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(number for child in children for number in _family(int(child)))]


XRDP = """[Globals]
ini_version=1
fork=true
port=tcp://127.0.0.1:{port}
tcp_nodelay=true
security_layer=tls
crypt_level=high
certificate={folder}/cert.pem
key_file={folder}/key.pem
ssl_protocols=TLSv1.2, TLSv1.3
autorun=vnc
allow_channels=true
max_bpp=32
new_cursors=true
use_fastpath=both
[Logging]
LogFile={folder}/xrdp.log
LogLevel=INFO
EnableSyslog=false
[Channels]
drdynvc=true
rdpsnd=true
cliprdr=true
[vnc]
name=vnc
lib=libvnc.so
ip=127.0.0.1
port={vnc}
username=na
password={password}
"""
