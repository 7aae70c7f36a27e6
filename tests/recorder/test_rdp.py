"""Real RDP servers are recorded; passwords stay hidden; whatever ends a session has its reason."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from recorder.errors import BadSource, SourceLost, SourceOver
from recorder.names import GapMarker, read_marker
from recorder.settings import Settings
from recorder.sources import open_source
from recorder.sources.certificate import Certificate
from recorder.sources.rdp import LOG_ON_WITHIN
from recorder.sources.rdp_client import client
from recorder.sources.rdp_exit import why_ended
from recorder.sources.reach import Endpoint
from recorder.sources.target import Access, parse
from recorder.spool import Spool
from recorder.supervisor import Policy, Supervisor
from recorder.xvfb import PrivateDisplay
from tests.ports import free_port
from tests.programs import descendants, fetched
from tests.waiting import PATIENCE, until

from .remote import (
    ALLOWED,
    PASSWORD,
    USER,
    Server,
    client_name,
    framebuffer,
    shadow,
    shadowing,
    xorgxrdp,
    xrdp,
)
from .stage import Child, MemoryView, pictures, segments, supervising

ACCESS = Access(PASSWORD, ALLOWED)
SHARP = Settings(frame_rate=10, quality="ultra", segment_seconds=0.5, cursor=False, width=800, height=600)
POLICY = Policy(first_backoff=0.2, longest_backoff=0.5, restarts=40, allowed_targets=ALLOWED)
RED, BLUE = 0xFF0000, 0x0000FF


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's recorders, and no others, keep what they need while they run."""
    folder = tmp_path / "private"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that several tests visit one after the other, and none hurts."""
    with shadow(tmp_path_factory.mktemp("desk")) as server:
        yield server


@pytest.fixture(params=["the client here", "FreeRDP 3"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorders start the RDP client that is installed, then FreeRDP 3, which newer systems have."""
    if request.param == "FreeRDP 3":
        monkeypatch.setenv("PATH", f"{fetched('freerdp3') / 'bin'}:{os.environ['PATH']}")
        assert client_name() == "xfreerdp3"


def address(server: Server, *, more: str = "") -> str:
    return f"rdp://{USER}@127.0.0.1:{server.port}?" + (more or f"fingerprint={server.fingerprint}")


def shows(server: Server, source: Any, colour: int) -> Callable[[], bool]:
    """Whether the desktop, painted in a colour, is seen in it; a resize may wipe the first coat."""
    want = [colour & 255, colour >> 8 & 255, colour >> 16]

    def check() -> bool:
        server.paint(colour)
        source.wait(0.3)
        seen = source.grab(0)
        near = abs(seen[seen.shape[0] // 2, seen.shape[1] // 2, :3].astype(int) - want).max()
        return bool(near < 40)

    return check


@contextmanager
def recording(
    server: Server, tmp_path: Path, **more: Any
) -> Iterator[tuple[MemoryView, UUID, Supervisor, Spool]]:
    """A session of the server under a supervisor, once it has recorded a second."""
    spool, view = Spool(tmp_path / "spool"), MemoryView(secret=PASSWORD)
    settings = more.pop("settings", SHARP)
    with supervising(spool, view, policy=more.pop("policy", POLICY)) as supervisor:
        session = view.want(address(server, **more), settings=settings)
        until(lambda: view.last(session, "failed") or list(spool.segments()))
        assert view.last(session, "failed") is None
        yield view, session, supervisor, spool


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("start", [shadow, xrdp], ids=["freerdp-shadow with NLA", "xrdp with TLS"])
def test_a_remote_desktop_is_seen_as_it_changes_and_through_a_resize(start: Any, tmp_path: Path) -> None:
    with start(tmp_path) as server:
        source = open_source(address(server), SHARP, access=ACCESS)
        try:
            assert source.evidence["certificate_checked"] == "fingerprint"
            assert source.evidence["certificate_sha256"] == server.fingerprint
            for colour in (RED, BLUE):
                until(shows(server, source, colour))
            server.resize(*((500, 400) if start is shadow else (1024, 768)))
            size = (400, 500) if start is shadow else (768, 1024)
            until(lambda: source.wait(0.1) and source.grab(0).shape[:2] == size)
            until(shows(server, source, RED))
        finally:
            source.close()


def test_a_recording_shows_the_desktop_and_a_resize_begins_an_epoch(tmp_path: Path, private: Path) -> None:
    with shadow(tmp_path) as server, recording(server, tmp_path) as (view, session, _, spool):
        assert view.kinds(session)[:2] == ["connected", "recording"]
        server.paint(RED)
        server.resize(500, 400)
        folder = spool.take_directory(session, 1)
        until(lambda: {name.epoch for _, name in spool.segments(folder)} >= {1, 2})
        view.desire(session, "stop")
        ended = until(lambda: view.last(session, "ended"))
        assert ended.reason == "stopped"
        found = segments(spool, folder)
    assert pictures(found[0][0])[0].shape == (480, 640, 3)
    assert pictures(found[-1][0])[-1].shape == (400, 500, 3)
    assert found[-1][1].start_us >= found[0][1].end_us
    assert list(private.iterdir()) == []


@pytest.mark.usefixtures("either")
def test_the_password_is_nowhere_but_in_the_pipe(
    tmp_path: Path, desk: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with recording(desk, tmp_path) as (view, session, supervisor, spool):
        child = supervisor.children[session]
        family = [child, *descendants(child)]
        assert {"Xvfb", client_name()} <= {comm(pid) for pid in family}
        for pid in Path("/proc").glob("[0-9]*"):
            for what in ("cmdline", "environ"):
                assert PASSWORD.encode() not in read(pid / what)
        for pid in family:
            limits = read(Path(f"/proc/{pid}/limits"))  # nothing of one that has ended
            assert not limits or re.search(rb"Max core file size\s+0\s+0", limits)
        homes = list(Path(tempfile.gettempdir()).glob(f"lucid-display-{child}-*"))
        assert [home.stat().st_mode & 0o777 for home in homes] == [0o700]
        files = [path for root in (spool.root, *homes) for path in root.rglob("*") if path.is_file()]
        assert files
        # What is being written gets its name meanwhile: all of the spool is looked through again at the end.
        assert [path for path in files if PASSWORD.encode() in read(path)] == []
        assert PASSWORD not in repr(view.events)
    kept = [path for path in spool.root.rglob("*") if path.is_file()]
    assert [path for path in kept if PASSWORD.encode() in path.read_bytes()] == []
    assert PASSWORD not in caplog.text


def test_nobody_without_the_cookie_sees_the_private_display(tmp_path: Path, desk: Server) -> None:
    with recording(desk, tmp_path) as (_, session, supervisor, _spool):
        family = {comm(pid): pid for pid in descendants(supervisor.children[session])}
        argv = read(Path(f"/proc/{family['Xvfb']}/cmdline")).split(b"\0")
        assert argv[argv.index(b"-nolisten") + 1] == b"tcp"
        cookie = Path(argv[argv.index(b"-auth") + 1].decode())
        assert cookie.stat().st_mode & 0o777 == 0o600
        environ = read(Path(f"/proc/{family[client_name()]}/environ")).split(b"\0")
        (display,) = [one.decode().partition("=")[2] for one in environ if one.startswith(b"DISPLAY=")]
        for authority, allowed in (("/dev/null", False), (str(cookie), True)):
            code = subprocess.run(
                ["xdotool", "getdisplaygeometry"],
                env={"PATH": os.environ["PATH"], "DISPLAY": display, "XAUTHORITY": authority},
                capture_output=True,
                check=False,
            ).returncode
            assert (code == 0) is allowed


def test_another_logon_that_takes_the_desktop_of_xorgxrdp_ends_its_recording_for_good(tmp_path: Path) -> None:
    with xorgxrdp(tmp_path) as server, recording(server, tmp_path) as (view, session, _, spool):
        rival = open_source(address(server), SHARP, access=ACCESS)
        try:
            ended = until(lambda: view.last(session, "ended") or view.last(session, "failed"))
            until(shows(server, rival, RED))
        finally:
            rival.close()
    # That is all that xrdp says of it: it does not tell another logon from a logoff.
    assert "the session was logged off" in ended.reason
    assert view.takes[session] == 1
    assert segments(spool, spool.take_directory(session, 1))


@pytest.mark.usefixtures("either")
def test_a_killed_server_leaves_a_gap_with_a_reason_and_is_found_again(tmp_path: Path) -> None:
    folder, port = tmp_path / "server", free_port()
    with framebuffer() as display, shadowing(display, folder, port=port) as process:
        server = Server(port, display, process)
        with recording(server, tmp_path) as (view, session, _, spool):
            server.kill()
            until(lambda: closed(spool, session, 1))
            assert "ended the connection" in closed(spool, session, 1).reason
            assert closed(spool, session, 1).ending == "interrupted"
            with shadowing(display, folder, port=server.port):
                until(lambda: view.kinds(session).count("recording") == 2)
                take = view.takes[session]
                until(lambda: list(spool.segments(spool.take_directory(session, take))))
                view.desire(session, "stop")
                until(lambda: view.last(session, "ended"))
    (gap,) = [marker for marker in gaps(spool, session) if marker.take == take]
    assert gap.from_us == closed(spool, session, 1).end_us
    assert "ended the connection" in gap.reason
    assert segments(spool, spool.take_directory(session, take))[0][1].start_us == gap.to_us


@pytest.mark.usefixtures("either")
def test_a_killed_client_or_display_costs_a_gap_only(tmp_path: Path, private: Path) -> None:
    heard = replace(SHARP, input="masked")  # for the clipboard FreeRDP 3 would mount something
    with (
        shadow(tmp_path) as server,
        recording(server, tmp_path, settings=heard) as (view, session, supervisor, spool),
    ):
        for take, victim in ((2, client_name()), (3, "Xvfb")):
            strike(supervisor, session, victim)
            until(lambda take=take: view.last(session, "failed") or view.takes[session] >= take)
            assert view.last(session, "failed") is None
            until(lambda take=take: view.kinds(session).count("recording") >= take)
    assert re.search("RDP client .* was killed by SIGKILL", closed(spool, session, 1).reason)
    assert re.search("private display .* ended", closed(spool, session, 2).reason)
    for take in (1, 2):
        kept = [name.end_us for _, name in segments(spool, spool.take_directory(session, take))]
        assert closed(spool, session, take).end_us == max(kept)
    assert list(private.iterdir()) == []


@pytest.mark.parametrize("after", [0.0, 0.4])
def test_a_display_killed_while_the_recorder_connects_anew_is_replaced(
    tmp_path: Path, private: Path, after: float
) -> None:
    with shadow(tmp_path) as server, recording(server, tmp_path) as (view, session, supervisor, spool):
        strike(supervisor, session, client_name())
        until(lambda: view.takes[session] >= 2)
        until(lambda: victims(supervisor, session, "Xvfb"))
        time.sleep(after)
        strike(supervisor, session, "Xvfb")
        until(lambda: view.last(session, "failed") or view.takes[session] >= 3)
        assert view.last(session, "failed") is None
        until(lambda: list(spool.segments(spool.take_directory(session, view.takes[session]))))
    assert re.search("private display", closed(spool, session, 2).reason)
    assert list(private.iterdir()) == []


def test_a_killed_child_takes_its_client_and_display_along(tmp_path: Path, private: Path) -> None:
    with shadow(tmp_path) as server, recording(server, tmp_path) as (view, session, supervisor, _):
        child = supervisor.children[session]
        family = descendants(child)
        os.kill(child, signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
        until(lambda: view.kinds(session).count("recording") == 2)
    assert list(private.iterdir()) == []


def test_a_server_that_stays_away_ends_the_session_after_a_bounded_number_of_attempts(tmp_path: Path) -> None:
    policy = Policy(first_backoff=0.1, longest_backoff=0.1, restarts=2, allowed_targets=ALLOWED)
    with shadow(tmp_path) as server, recording(server, tmp_path, policy=policy) as (view, session, _, spool):
        server.kill()
        failed = until(lambda: view.last(session, "failed"))
        assert view.takes[session] == 3
    assert "failed 3 times in a row" in failed.reason
    assert "does not answer" in failed.reason
    assert closed(spool, session, 3).last_counter == 0


@pytest.mark.usefixtures("either")
def test_a_logon_has_the_time_that_the_recorder_had(tmp_path: Path, desk: Server) -> None:
    spool = Spool(tmp_path / "spool")
    with Child(spool, address(desk), settings=SHARP, access=asdict(ACCESS)) as child:
        until(lambda: any("freerdp" in program(pid) for pid in descendants(child.process.pid)), every=0.005)
        time.sleep(0.1)  # now its window is waited for
        child.process.send_signal(signal.SIGSTOP)
        time.sleep(LOG_ON_WITHIN + 1)
        child.process.send_signal(signal.SIGCONT)
        until(lambda: child.heard("recording") or child.heard("failed"))
        assert child.heard("failed") is None
        assert child.end() == 0


def program(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def test_a_wrong_password_fails_at_once_and_is_not_tried_again(tmp_path: Path, desk: Server) -> None:
    spool, view = Spool(tmp_path / "spool"), MemoryView(secret="Wrong-4711")
    with supervising(spool, view, policy=POLICY):
        session = view.want(address(desk), settings=SHARP)
        failed = until(lambda: view.last(session, "failed"))
    assert "user name or password" in failed.reason
    assert "Wrong-4711" not in failed.reason
    assert view.takes[session] == 1


def test_a_server_that_says_that_the_password_is_wrong_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{fetched('freerdp3') / 'bin'}:{os.environ['PATH']}")
    with shadow(tmp_path, program="freerdp-shadow-cli3") as server:
        with pytest.raises(BadSource, match=r"refused the user name or the password .*AUTHENTICATION_FAILED"):
            open_source(address(server), SHARP, access=Access("Wrong-4711", ALLOWED))
        open_source(address(server), SHARP, access=ACCESS).close()


def in_memory(pid: int) -> Path:
    """What the client with this process number shares with others."""
    return Path(f"/dev/shm/com.freerdp.xfreerdp.tsmf_{pid:016X}")


@pytest.mark.usefixtures("either")
def test_nothing_of_a_client_that_is_gone_stays_in_memory(desk: Server) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    others = (
        in_memory(gone.pid),
        in_memory(os.getpid()),
        in_memory(0).with_name(f"com.freerdp.xfreerdp.tsmf_x{os.getpid()}"),
    )
    for path in others:
        path.write_bytes(bytes(8))
    try:
        source = open_source(address(desk), SHARP, access=ACCESS)
        try:
            (mine,) = [in_memory(one) for one in descendants(os.getpid()) if in_memory(one).exists()]
        finally:
            source.close()
        assert [path.exists() for path in (mine, *others)] == [False, False, True, True]
    finally:
        for path in others:
            path.unlink(missing_ok=True)


@pytest.mark.usefixtures("either")
def test_the_client_itself_accepts_only_the_certificate_that_was_checked(desk: Server) -> None:
    target, place = parse(address(desk)), Endpoint("127.0.0.1", desk.port)
    another = Certificate("ab" * 32, "fingerprint")
    display = PrivateDisplay(640, 480)
    try:
        program = display.run(client().argv(target, place, certificate=another, size=(640, 480)))
        output, _ = program.communicate(PASSWORD + "\n", timeout=PATIENCE)
    finally:
        display.close()
    ended = why_ended(program.returncode, output, place=target.place, connected=False)
    assert isinstance(ended, BadSource)
    assert "another certificate than a moment before" in str(ended)


def test_another_certificate_fails_before_anything_is_sent(desk: Server) -> None:
    with pytest.raises(BadSource, match="another certificate than was pinned"):
        open_source(address(desk, more="fingerprint=" + "ab" * 32), SHARP, access=ACCESS)
    with pytest.raises(BadSource, match="No authority"):
        open_source(address(desk, more="domain=corp"), SHARP, access=ACCESS)


def test_an_unchecked_certificate_is_written_into_the_evidence(tmp_path: Path, desk: Server) -> None:
    fingerprint = desk.fingerprint
    with recording(desk, tmp_path, more="ignore_cert=1") as (view, session, _, spool):
        view.desire(session, "stop")
        until(lambda: view.last(session, "ended"))
        connected = view.last(session, "connected")
    assert connected is not None
    assert connected.facts["certificate_checked"] == "not checked"
    assert connected.facts["certificate_sha256"] == fingerprint
    assert f"not checked: ignore_cert; SHA-256 {fingerprint}" in closed(spool, session, 1).reason


def test_the_clients_exit_tells_what_to_do_about_it() -> None:
    def why(code: int, *, output: str = "", connected: bool = True) -> Any:
        return why_ended(code, output, place="desk:3389", connected=connected)

    assert "Another logon took over" in str(why(5))
    assert isinstance(why(5), BadSource)
    assert isinstance(why(131, output="ERRINFO_DISCONNECTED_BY_OTHER_CONNECTION (0x5)"), BadSource)
    assert isinstance(why(12), SourceOver)
    assert isinstance(why(131), SourceLost)
    assert isinstance(why(147), SourceLost)
    assert "SIGKILL" in str(why(-9))
    assert "told to end" in str(why(145))
    assert "locked the account" in str(why(135, connected=False))
    assert "password has expired" in str(why(148, connected=False))
    assert "another certificate" in str(why(143, connected=False))
    told = str(why(132, output="junk ERRCONNECT_LOGON_FAILURE [0x1] operator Secret", connected=False))
    assert "ERRCONNECT_LOGON_FAILURE" in told
    assert "Secret" not in told


def closed(spool: Spool, session: UUID, take: int) -> Any:
    return spool.closed(spool.take_directory(session, take)).get("screen")


def gaps(spool: Spool, session: UUID) -> list[Any]:
    return [
        read_marker(path, GapMarker)
        for _, _, folder in spool.takes_of(session)
        for path in sorted(folder.glob("gap_screen_*.json"))
    ]


def strike(supervisor: Supervisor, session: UUID, name: str) -> None:
    (pid,) = until(lambda: victims(supervisor, session, name))
    os.kill(pid, signal.SIGKILL)


def victims(supervisor: Supervisor, session: UUID, name: str) -> list[int]:
    child = supervisor.children.get(session)
    named = [pid for pid in descendants(child) if comm(pid) == name] if child else []
    # What one of them starts bears its name until it becomes another program (an X server's xkbcomp).
    begun = {one for pid in named for one in descendants(pid)}
    return [pid for pid in named if pid not in begun]


def comm(pid: int) -> str:
    """The name of a process; empty when it is gone."""
    return read(Path(f"/proc/{pid}/comm")).decode().strip()


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
