"""A network that is cut between recorder and desktop costs a gap that says so; then recording goes on."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

from recorder.settings import Settings
from recorder.spool import Spool
from recorder.supervisor import Policy
from tests.ports import own_number
from tests.programs import needed, needed_root
from tests.waiting import stalls, until

from .remote import NT_HASH, PASSWORD, USER, client_name, framebuffer, running
from .stage import MemoryView, segments, supervising

SHARP = Settings(frame_rate=10, quality="low", segment_seconds=1, cursor=False, width=640, height=480)
POLICY = Policy(first_backoff=0.2, longest_backoff=0.5, restarts=100)
RDP, VNC = 3389, 5900


class Network:
    """A second network, with one cable to this one."""

    def __init__(self, number: int) -> None:
        self.name = self._cable = f"lucid{number}"
        self.here, self.there = f"10.213.{number}.1", f"10.213.{number}.2"

    def lay(self) -> None:
        self.remove()  # of a test that was killed
        far = f"{self._cable}b"
        self._run("ip", "netns", "add", self.name)
        self._run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", far, "netns", self.name)
        self._run("ip", "addr", "add", f"{self.here}/30", "dev", self._cable)
        self._run("ip", "link", "set", self._cable, "up")
        for words in (f"addr add {self.there}/30 dev {far}", f"link set {far} up", "link set lo up"):
            self._run(*self.inside, "ip", *words.split())

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, stderr=subprocess.DEVNULL)

    @property
    def inside(self) -> tuple[str, ...]:
        """Before a program's name: it runs over there."""
        return "ip", "netns", "exec", self.name

    def cut(self) -> None:
        self._run("ip", "link", "set", self._cable, "down")

    def mend(self) -> None:
        self._run("ip", "link", "set", self._cable, "up")

    @staticmethod
    def _run(*argv: str) -> None:
        subprocess.run(argv, check=True)


@contextmanager
def network() -> Iterator[Network]:
    needed("ip")
    needed_root("a network of its own")
    laid = Network(own_number() + 1)
    try:
        laid.lay()
        yield laid
    finally:
        laid.remove()


@contextmanager
def desktops(away: Network, folder: Path) -> Iterator[None]:
    """An RDP server and a VNC server over there."""
    client_name()
    for program in ("freerdp-shadow-cli", "Xvnc"):
        needed(program)
    (folder / "sam").write_text(f"{USER}:::{NT_HASH}:::\n")
    bind = f"/bind-address:{away.there}"
    rdp = ["freerdp-shadow-cli", f"/port:{RDP}", bind, f"/sam-file:{folder / 'sam'}", "+auth", "/sec:nla"]
    vnc = ["Xvnc", f":{700 + own_number()}", "-rfbport", str(VNC), "-interface", away.there]
    vnc += ["-SecurityTypes", "None", "-geometry", "640x480", "-AlwaysShared", "-nolisten", "tcp"]
    with ExitStack() as stack:
        display = stack.enter_context(framebuffer())
        stack.enter_context(running(*away.inside, *rdp, HOME=str(folder), DISPLAY=display))
        stack.enter_context(running(*away.inside, *vnc))
        for port in (RDP, VNC):
            until(lambda port=port: answers(away.there, port))
        yield


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_cut_network_is_noticed_and_recording_goes_on_when_it_is_mended(tmp_path: Path) -> None:
    spool, view = Spool(tmp_path / "spool"), MemoryView(secret=PASSWORD)
    with (
        network() as away,
        desktops(away, tmp_path),
        supervising(spool, view, policy=POLICY),
        stalls() as stalled,
    ):
        sessions = [
            view.want(f"rdp://{USER}@{away.there}:{RDP}?ignore_cert=1", settings=SHARP),
            view.want(f"vnc://{away.there}:{VNC}", settings=SHARP),
        ]
        until(lambda: all(kept(spool, session, 1) for session in sessions))
        time.sleep(1)
        away.cut()
        until(lambda: all(closed(spool, session) for session in sessions))
        away.mend()
        until(lambda: all(view.kinds(session).count("recording") == 2 for session in sessions))
        until(lambda: all(kept(spool, session, view.takes[session]) for session in sessions))
        for session in sessions:
            view.desire(session, "stop")
        until(lambda: all(view.last(session, "ended") for session in sessions))
    for session in sessions:
        reason = closed(spool, session).reason
        silent = re.search(r"hangs or is cut off: it did not answer for (\d+) s", reason)
        assert silent, reason
        assert int(silent[1]) <= 10 + stalled()
        folder = spool.take_directory(session, view.takes[session])
        (gap,) = [gap for gap in spool.gaps(folder) if gap.track == "screen"]
        assert (gap.from_us, gap.reason) == (closed(spool, session).end_us, reason)
        assert segments(spool, folder)[0][1].start_us == gap.to_us


def kept(spool: Spool, session: UUID, take: int) -> bool:
    return any(name.track == "screen" for _, name in spool.segments(spool.take_directory(session, take)))


def closed(spool: Spool, session: UUID):
    return spool.closed(spool.take_directory(session, 1)).get("screen")
