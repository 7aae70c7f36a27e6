"""The input track of remote desktops says what can be known of them, and whose doing it is."""

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import xcffib
import xcffib.xproto

from recorder.settings import Settings
from recorder.spool import Spool
from recorder.take import Stamp
from tests.waiting import until

from .remote import ALLOWED, PASSWORD, USER, VNC_PASSWORD, Server, client_name, shadow, xrdp, xvnc
from .stage import Child
from .test_input import lines
from .test_rdp import comm, descendants, read

SHARP = Settings(frame_rate=30, quality="low", segment_seconds=1, cursor=False, input="masked")
COPIED = b"correct horse battery"


def child_of(server: Server, spool: Spool, *, kind: str = "rdp") -> Child:
    rdp = f"rdp://{USER}@127.0.0.1:{server.port}?ignore_cert=1"
    secret = PASSWORD if kind == "rdp" else VNC_PASSWORD
    source = rdp if kind == "rdp" else f"vnc://127.0.0.1:{server.port}"
    return Child(spool, source, settings=SHARP, access={"secret": secret, "allowed": ALLOWED})


class PrivateDisplay:
    """The display of a recording's RDP client, as somebody sees it who may."""

    def __init__(self, child: Child) -> None:
        (client,) = [pid for pid in descendants(child.process.pid) if comm(pid) == client_name()]
        facts = [one.decode() for one in read(Path(f"/proc/{client}/environ")).split(b"\0")]
        wanted = ("DISPLAY=", "XAUTHORITY=")
        self.env = dict(os.environ) | dict(one.split("=", 1) for one in facts if one.startswith(wanted))

    def run(self, *argv: str) -> tuple[int, int]:
        """When a program was started on it and when it was done, CLOCK_MONOTONIC nanoseconds."""
        began = time.monotonic_ns()
        subprocess.run(argv, env=self.env, check=True, capture_output=True)
        return began, time.monotonic_ns()


@contextmanager
def copying(display: str, content: bytes) -> Iterator[Callable[[], None]]:
    """A program of a display that copies a text when it is told, and gives it to who asks."""
    x: Any = xcffib.Connection(display=display)
    root, window = x.get_setup().roots[0].root, x.generate_id()
    x.core.CreateWindow(0, window, root, 0, 0, 1, 1, 0, 2, 0, 0, [])
    atoms = {
        name: x.core.InternAtom(False, len(name), name).reply().atom
        for name in ("CLIPBOARD", "TARGETS", "UTF8_STRING")
    }

    over = Event()

    def answer() -> None:
        while not over.wait(0.02):
            asked = x.poll_for_event()
            if not isinstance(asked, xcffib.xproto.SelectionRequestEvent):
                continue
            place = asked.requestor, asked.property
            if asked.target == atoms["TARGETS"]:
                x.core.ChangeProperty(0, *place, 4, 32, 2, [atoms["TARGETS"], atoms["UTF8_STRING"]])
            else:
                x.core.ChangeProperty(0, *place, asked.target, 8, len(content), content)
            facts = asked.time, asked.requestor, asked.selection, asked.target, asked.property
            told = xcffib.xproto.SelectionNotifyEvent.synthetic(*facts)
            x.core.SendEvent(False, asked.requestor, 0, told.pack())
            x.flush()

    thread = Thread(target=answer)
    thread.start()

    def copy() -> None:
        x.core.SetSelectionOwner(window, atoms["CLIPBOARD"], 0)
        x.flush()

    try:
        yield copy
    finally:
        over.set()
        thread.join()
        x.disconnect()


def told(child: Child) -> bool:
    """Whether the input track, as far as it is written, tells how much was copied."""
    written = [path for path in child.directory.iterdir() if "_input_" in path.name]
    lines = [line for path in written for line in path.read_bytes().splitlines()]
    return any(b'"k":"clip"' in line and b'"length":' in line for line in lines)


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
        with copying(server.display, COPIED) as copy:
            # The clipboard's channel opens a while after the picture: copied until it is told. What is copied
            # while the last is still being fetched takes its place, so a slow machine is left ever more time.
            pauses = count(1)
            until(lambda: copy() or time.sleep(next(pauses) / 2) or told(child))
            assert child.end() == 0
    assert (len(COPIED), hashlib.sha256(COPIED).hexdigest()) in {
        (line.get("length"), line.get("sha256")) for line in lines(spool, "clip")
    }
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
