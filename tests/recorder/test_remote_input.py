"""The input track of remote desktops says what can be known of them, and whose doing it is."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from recorder.settings import Settings
from recorder.spool import Spool
from recorder.take import Stamp
from tests.waiting import until

from .clipboard import COPIED, copying, owned, told
from .remote import ALLOWED, PASSWORD, USER, VNC_PASSWORD, Server, client_name, shadow, xrdp, xvnc
from .stage import Child
from .test_input import lines
from .test_rdp import comm, descendants, read

SHARP = Settings(frame_rate=30, quality="low", segment_seconds=1, cursor=False, input="masked")


def child_of(server: Server, spool: Spool, *, kind: str = "rdp") -> Child:
    rdp = f"rdp://{USER}@127.0.0.1:{server.port}?ignore_cert=1"
    secret = PASSWORD if kind == "rdp" else VNC_PASSWORD
    source = rdp if kind == "rdp" else f"vnc://127.0.0.1:{server.port}"
    return Child(spool, source, settings=SHARP, access={"secret": secret, "allowed": ALLOWED})


# No key repeats itself because who presses it has no time to let it go.
NO_REPEAT = """
import xcffib, xcffib.xproto
x, mode, off = xcffib.Connection(), xcffib.xproto.KB.AutoRepeatMode, xcffib.xproto.AutoRepeatMode.Off
x.core.ChangeKeyboardControl(mode, [off], is_checked=True).check()
"""


class PrivateDisplay:
    """The display of a recording's RDP client, as somebody sees it who may."""

    def __init__(self, child: Child) -> None:
        (client,) = [pid for pid in descendants(child.process.pid) if comm(pid) == client_name()]
        facts = [one.decode() for one in read(Path(f"/proc/{client}/environ")).split(b"\0")]
        wanted = ("DISPLAY=", "XAUTHORITY=")
        self.env = dict(os.environ) | dict(one.split("=", 1) for one in facts if one.startswith(wanted))
        self.run(sys.executable, "-c", NO_REPEAT)

    def run(self, *argv: str) -> tuple[int, int]:
        """When a program was started on it and when it was done, CLOCK_MONOTONIC nanoseconds."""
        began = time.monotonic_ns()
        subprocess.run(argv, env=self.env, check=True, capture_output=True)
        return began, time.monotonic_ns()


def test_what_passes_through_the_rdp_client_is_recorded_on_the_clock_of_the_screen(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with shadow(tmp_path / "server") as server, child_of(server, spool) as child:
        until(lambda: child.heard("recording"))
        private = PrivateDisplay(child)
        pressed = [private.run("xdotool", "key", "x") for _ in range(5)]
        private.run("xdotool", "mousemove", "100", "80", "click", "1")
        time.sleep(1)
        assert child.end() == 0
    stamp = Stamp.read(child.directory)
    assert stamp is not None
    keys = [line for line in lines(spool, "key") if line["down"]]
    assert [key["key"] for key in keys] == ["•"] * 5
    for key, (began, ended) in zip(keys, pressed, strict=True):
        assert began - 1_000_000 <= stamp.origin_ns + key["t"] * 1000 <= ended
    assert [(line["x"], line["y"]) for line in lines(spool, "button")] == [(100, 80)] * 2
    assert {line["hears"] for line in lines(spool, "begin")} == {"client"}
    assert "FreeRDP" not in "".join(
        path.read_text() for path, name in spool.segments() if name.track == "input"
    )


def test_what_is_copied_on_a_remote_desktop_is_told_by_length_and_hash_over_rdp(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with xrdp(tmp_path / "server", sound=True) as server, child_of(server, spool) as child:
        until(lambda: child.heard("recording"))
        # The clipboard's channel opens a while after the picture: then the client's can be pasted.
        until(lambda: owned(server.display))
        with copying(server.display, COPIED) as copy:
            copy()
            until(lambda: told(child))
            assert child.end() == 0
    (copied,) = lines(spool, "clip")
    assert (copied["length"], copied["sha256"]) == (len(COPIED), hashlib.sha256(COPIED).hexdigest())
    assert not [path for path, _ in spool.segments() if b"horse" in path.read_bytes()]


def test_what_is_copied_on_a_remote_desktop_is_told_by_length_and_hash_over_vnc(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with xvnc(tmp_path / "server") as server, child_of(server, spool, kind="vnc") as child:
        until(lambda: child.heard("recording"))
        with copying(server.display, COPIED) as copy:
            time.sleep(0.5)
            copy()
            until(lambda: told(child))
            assert child.end() == 0
    (copied,) = lines(spool, "clip")
    assert (copied["length"], copied["sha256"]) == (len(COPIED), hashlib.sha256(COPIED).hexdigest())
    assert {line["hears"] for line in lines(spool, "begin")} == {"server"}
    assert {line["k"] for line in lines(spool)} <= {"begin", "clip", "tick", "end"}
