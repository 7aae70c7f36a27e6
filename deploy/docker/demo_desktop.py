"""A desktop to record: xrdp with TLS, before an Xvnc with a window manager and a terminal.

    demo_desktop.py [--port 3389] [--home /tmp/desktop] [--address 0.0.0.0]

For demonstrations only: it lets anybody in, with any name and password. Prints the fingerprint of its
certificate, which the recorder wants to know, and ends when one of its programs does.
"""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

DISPLAY = ":17"
VNC_PORT = "5917"
XRDP = """[Globals]
ini_version=1
fork=true
port=tcp://{address}:{port}
security_layer=tls
crypt_level=high
certificate={home}/cert.pem
key_file={home}/key.pem
ssl_protocols=TLSv1.2, TLSv1.3
autorun=desktop
max_bpp=32
[Logging]
LogFile={home}/xrdp.log
LogLevel=INFO
EnableSyslog=false
[Channels]
drdynvc=true
[desktop]
name=desktop
lib=libvnc.so
ip=127.0.0.1
port={vnc_port}
username=na
password={password}
"""


def prepare(home: Path, *, address: str, port: int) -> str:
    """The fingerprint of the certificate that xrdp in `home` will show."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = secrets.token_hex(4)
    packed = subprocess.run(["vncpasswd", "-f"], input=password.encode(), capture_output=True, check=True)
    (home / "vnc").write_bytes(packed.stdout)
    (home / "vnc").chmod(0o600)
    kind = ["-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=demo-desktop"]
    files = ["-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
    text = XRDP.format(address=address, port=port, home=home, vnc_port=VNC_PORT, password=password)
    (home / "xrdp.ini").write_text(text)
    show = ["openssl", "x509", "-in", str(home / "cert.pem"), "-noout", "-fingerprint", "-sha256"]
    shown = subprocess.run(show, check=True, capture_output=True, text=True)
    return shown.stdout.strip().partition("=")[2]


def begin(home: Path) -> list["subprocess.Popen[bytes]"]:
    """The running programs of the desktop; xrdp comes once the display is there."""
    environment = os.environ | {"DISPLAY": DISPLAY, "HOME": str(home)}
    screen = ["Xvnc", DISPLAY, "-rfbport", VNC_PORT, "-localhost", "-geometry", "1280x720", "-depth", "24"]
    running = [subprocess.Popen([*screen, "-PasswordFile", str(home / "vnc")], env=environment)]
    socket = Path(f"/tmp/.X11-unix/X{DISPLAY[1:]}")  # noqa: S108 - where X servers have theirs
    for _ in range(200):
        if socket.exists() or running[0].poll() is not None:
            break
        time.sleep(0.05)
    for words in (["openbox"], ["xterm", "-geometry", "100x30+80+60", "-e", "top", "-d", "1"]):
        if shutil.which(words[0]):
            running.append(subprocess.Popen(words, env=environment))
    running.append(subprocess.Popen(["xrdp", "--nodaemon", "-c", str(home / "xrdp.ini")], env=environment))
    return running


def main() -> int:
    """Exit status 1, since a program of the desktop ended by itself; SIGTERM makes it 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=3389)
    parser.add_argument("--address", default="0.0.0.0")  # noqa: S104 - in a container, on an inner network
    parser.add_argument("--home", type=Path, default=Path("/tmp/desktop"))  # noqa: S108 - a container's own
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"fingerprint {prepare(wanted.home, address=wanted.address, port=wanted.port)}", flush=True)
    running = begin(wanted.home)
    try:
        while all(one.poll() is None for one in (running[0], running[-1])):
            time.sleep(0.5)
    finally:
        for one in reversed(running):
            with contextlib.suppress(ProcessLookupError):
                one.terminate()
        for one in running:
            one.wait(10)
    return 1


if __name__ == "__main__":
    sys.exit(main())
