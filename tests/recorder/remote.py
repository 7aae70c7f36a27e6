"""Real remote desktops on loopback: freerdp-shadow with NLA, xrdp with TLS to an Xvnc, and Xvnc itself."""

import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import xcffib
import xcffib.randr
import xcffib.xproto

from recorder.errors import BadSource
from recorder.sources import certificate
from recorder.sources.rdp_client import client
from recorder.sources.reach import Endpoint
from tests.ports import free_port
from tests.programs import lacking, needed, needed_root
from tests.waiting import PATIENCE, until

USER, PASSWORD = "operator", "Kerguelen-4711-cabbage"
# MD4 of the password in UTF-16, which Python's hashlib does not always have.
NT_HASH = "b6bc997ff4513586141a32867cfc5168"
VNC_PASSWORD = "vncpw12"
ALLOWED = ("127.0.0.0/8",)
SHADOW = "freerdp-shadow-cli"


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


def client_name() -> str:
    """The program that recorders here start for RDP; without one as `needed`."""
    try:
        return Path(client().program).name
    except BadSource:
        return needed("xfreerdp")


@contextmanager
def running(
    *argv: str, port: int | None = None, stack: ExitStack | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it listens; ended at the end."""
    process = subprocess.Popen(
        [needed(argv[0]), *argv[1:]],
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
    options = f"-displayfd {writing} -nolisten tcp -noreset -screen 0 {size}x24"
    argv = [needed("Xvfb"), *options.split()]
    server = subprocess.Popen(argv, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            yield f":{answer.readline().strip()}"
    finally:
        server.kill()
        server.wait()


@contextmanager
def shadow(
    folder: Path, *, size: str = "640x480", port: int | None = None, program: str = SHADOW
) -> Iterator[Server]:
    """freerdp-shadow of an Xvfb, which wants NLA."""
    client_name()  # which recorders of it start
    port = port or free_port()
    with framebuffer(size) as display, shadowing(display, folder, port=port, program=program) as process:
        server = Server(port, display, process)
        server.paint(0x336699)
        yield server


@contextmanager
def shadowing(
    display: str, folder: Path, *, port: int, program: str = SHADOW
) -> Iterator[subprocess.Popen[bytes]]:
    """freerdp-shadow of a display that is there already."""
    folder.mkdir(exist_ok=True)
    (folder / "sam").write_text(f"{USER}:::{NT_HASH}:::\n")
    argv = [program, f"/port:{port}", "/bind-address:127.0.0.1", f"/sam-file:{folder / 'sam'}"]
    with running(*argv, "+auth", "/sec:nla", port=port, HOME=str(folder), DISPLAY=display) as process:
        yield process


@contextmanager
def xvnc(
    folder: Path, *, password: bool = True, size: str = "640x480", port: int | None = None
) -> Iterator[Server]:
    """TigerVNC's server, with a password or open."""
    folder.mkdir(exist_ok=True)
    secret = folder / "vnc-password"
    packed = subprocess.run(
        [needed("vncpasswd"), "-f"], input=VNC_PASSWORD.encode(), capture_output=True, check=True
    )
    secret.write_bytes(packed.stdout)
    port = port or free_port()
    reading, writing = os.pipe()
    argv = [needed("Xvnc"), "-displayfd", str(writing), "-rfbport", str(port), "-interface", "127.0.0.1"]
    argv += ["-SecurityTypes", "VncAuth" if password else "None", "-PasswordFile", str(secret)]
    argv += ["-geometry", size, "-depth", "24", "-AlwaysShared", "-nolisten", "tcp"]
    process = subprocess.Popen(argv, pass_fds=[writing], stderr=subprocess.DEVNULL, start_new_session=True)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            ready, _, _ = select.select([answer], [], [], PATIENCE)
            assert ready, "Xvnc did not start"
            server = Server(port, f":{answer.readline().strip()}", process)
        server.paint(0x336699)
        yield server
    finally:
        process.kill()
        process.wait()


@cache
def self_signed() -> bytes:
    """A certificate for localhost and its key."""
    wanted = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout - -out -"
    argv = [needed("openssl"), *wanted.split(), "-addext", "subjectAltName=DNS:localhost"]
    return subprocess.run(argv, check=True, capture_output=True).stdout


@contextmanager
def xrdp(folder: Path, *, sound: bool = False) -> Iterator[Server]:
    """xrdp with TLS, whose desktop is an Xvnc; with `sound` its channel server runs beside it."""
    with xvnc(folder) as desktop, ExitStack() as stack:
        section = VNC.format(port=desktop.port, password=VNC_PASSWORD)
        if sound:
            needed_root("the channel server of xrdp keeps its sockets where root writes")
            section += f"chansrvport=DISPLAY({desktop.display[1:]})\n"
            SOCKETS.mkdir(parents=True, exist_ok=True)
            homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "DISPLAY": desktop.display}
            listens = SOCKETS / f"xrdp_chansrv_socket_{desktop.display[1:]}"
            listens.unlink(missing_ok=True)  # of one that was killed
            channels = stack.enter_context(running("xrdp-chansrv", **homes))
            # Asked to end, it takes its file system out of the tree again.
            stack.callback(channels.wait, PATIENCE)
            stack.callback(channels.terminate)
            # xrdp looks for it at a log-on, gives up after a second, and then has no channels at all.
            until(listens.exists)
        port, process = stack.enter_context(_xrdp_to(section, folder))
        yield Server(port, desktop.display, process, [desktop.process])


@contextmanager
def xorgxrdp(folder: Path) -> Iterator[Server]:
    """xrdp with TLS, whose desktop is an Xorg with the modules of xorgxrdp."""
    if not XORG.exists():
        lacking("xorgxrdp is not installed: install the Debian package xorgxrdp.")
    needed_root("Xorg with xorgxrdp keeps its sockets where root writes")
    SOCKETS.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    argv = [needed("Xorg", package="xserver-xorg-core"), "-displayfd", str(writing), "-config", str(XORG)]
    argv += ["-noreset", "-nolisten", "tcp", "-logfile", str(folder / "xorg.log")]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(
        argv, pass_fds=[writing], env={**os.environ, "XRDP_SOCKET_PATH": str(SOCKETS)}, **quiet
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            number = answer.readline().strip()
        assert number, "Xorg did not start"
        section = UP.format(socket=SOCKETS / f"xrdp_display_{number}")
        with _xrdp_to(section, folder) as (port, process):
            yield Server(port, f":{number}", process, [server])
    finally:
        server.terminate()
        server.wait()


@contextmanager
def _xrdp_to(section: str, folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """xrdp on a port of its own, with one desktop to offer."""
    client_name()  # which recorders of it start
    folder.mkdir(exist_ok=True)
    (folder / "cert.pem").write_bytes(self_signed())
    port, settings = free_port(), folder / "xrdp.ini"
    settings.write_text(XRDP.format(port=port, folder=folder) + section)
    with running("xrdp", "--nodaemon", "-c", str(settings), port=port) as process:
        yield port, process


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
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{process.args} does not listen"
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
key_file={folder}/cert.pem
ssl_protocols=TLSv1.2, TLSv1.3
autorun=desk
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
[desk]
name=desk
ip=127.0.0.1
username=na
"""
VNC = "lib=libvnc.so\nport={port}\npassword={password}\n"
UP = "lib=libxup.so\nport={socket}\npassword=na\ncode=20\n"
SOCKETS, XORG = Path("/run/xrdp/sockdir"), Path("/etc/X11/xrdp/xorg.conf")
