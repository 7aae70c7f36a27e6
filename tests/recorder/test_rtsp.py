"""A stream that a real RTSP server sends is taken over as it is, on the session's clock, and found again."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import BadSource, SourceAway
from recorder.export import Sound, write_mp4
from recorder.settings import Settings
from recorder.sources import check_source, open_source
from recorder.sources.target import Access, parse
from recorder.spool import Spool
from recorder.supervisor import Policy
from recorder.thumb import read_thumb
from tests.ports import free_port
from tests.programs import lacking, needed
from tests.waiting import until

from .remote import ALLOWED
from .stage import (
    Child,
    MemoryView,
    assert_gapless,
    packet_hashes,
    segments,
    supervising,
)
from .test_export_with_sound import flash_and_beep
from .test_file_import import draw_late_reordering
from .together import apart

PYTHON = "/usr/bin/python3"  # the system's, for which Debian packages GStreamer's server
SERVER = Path(__file__).with_name("media_server.py")
ASKED = "import gi; gi.require_version('GstRtspServer', '1.0')"
ACCESS = Access("", ALLOWED)
ONE_SECOND = Settings(segment_seconds=1, poster_width=64, sound=True)
POLICY = Policy(first_backoff=0.2, longest_backoff=0.5, restarts=40, allowed_targets=ALLOWED)


@contextmanager
def sending(film: Path, *account: str, port: int | None = None) -> Iterator[tuple[int, Any]]:
    """A server that sends the film: its port, its process."""
    port = port or free_port()
    needed(PYTHON, package="python3-gi")
    argv = [PYTHON, str(SERVER), str(port), str(film), *account]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            _say_what_is_missing()
        yield port, process
    finally:
        process.kill()
        process.wait()


def _say_what_is_missing() -> None:
    if subprocess.run([PYTHON, "-c", ASKED], check=False).returncode:
        lacking("GStreamer's server is missing: install gir1.2-gst-rtsp-server-1.0 and python3-gi.")
    raise AssertionError("GStreamer's server did not start")


def child_of(port: int, spool: Spool, **more: Any) -> Child:
    access = {"secret": "", "allowed": ALLOWED}
    return Child(spool, f"rtsp://127.0.0.1:{port}/live", settings=ONE_SECOND, access=access, **more)


def test_packets_are_taken_over_as_they_are_and_cut_at_key_frames(tmp_path: Path, film: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with sending(film) as (port, _), child_of(port, spool) as child:
        until(lambda: len([1 for _, name in spool.segments() if name.track == "screen"]) >= 3)
        child.say("pause")
        until(lambda: child.heard("paused"))
        child.say("resume")
        until(lambda: [line["kind"] for line in child.lines].count("recording") == 2)
        until(lambda: {name.epoch for _, name in spool.segments()} >= {1, 2})
        assert child.end() == 0
    seen, heard = segments(spool, child.directory), segments(spool, child.directory, track="audio")
    assert_gapless([name for _, name in seen])
    assert_gapless([name for _, name in heard])
    assert seen[0][1].start_us == 0
    sent = set(packet_hashes(film))
    assert all(set(packet_hashes(path)) <= sent for path, _ in seen)
    (gap,) = [gap for gap in spool.gaps(child.directory) if gap.track == "screen"]
    before = [name.end_us for _, name in seen if name.epoch == 1]
    after = [name.start_us for _, name in seen if name.epoch == 2]
    assert (gap.from_us, gap.to_us, gap.reason) == (before[-1], after[0], "paused")
    thumbs = [(path, name) for path, name in spool.segments(child.directory) if name.track == "thumb"]
    assert [(n.start_us, n.end_us) for _, n in thumbs] == [(n.start_us, n.end_us) for _, n in seen]
    assert read_thumb(thumbs[0][0].read_bytes()).width == 64


def test_no_picture_is_lost_where_a_stream_reorders_further_than_before(tmp_path: Path) -> None:
    spool, film = Spool(tmp_path / "spool"), draw_late_reordering(tmp_path / "film.mp4")
    with sending(film) as (port, _), child_of(port, spool) as child:
        child.end(None)  # the server ends the stream with the film
    seen = [packet for path, _ in segments(spool, child.directory) for packet in packet_hashes(path)]
    assert seen
    assert seen == packet_hashes(film)[-len(seen) :]


def test_picture_and_sound_stay_together(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    flash = flash_and_beep(tmp_path / "flash.mp4", at=2)
    with sending(flash) as (port, _), child_of(port, spool) as child:
        until(lambda: any(name.track == "audio" and name.end_us > 2_500_000 for _, name in spool.segments()))
        assert child.end() == 0
    seen, heard = segments(spool, child.directory), segments(spool, child.directory, track="audio")
    sound = Sound([path.read_bytes() for path, _ in heard])
    write_mp4(tmp_path / "out.mp4", [path.read_bytes() for path, _ in seen], sound=sound)
    assert max(apart(tmp_path / "out.mp4")) < 0.05


def test_a_killed_server_is_found_again_after_a_gap(tmp_path: Path, film: Path) -> None:
    spool, view = Spool(tmp_path / "spool"), MemoryView()
    with supervising(spool, view, policy=POLICY):
        with sending(film) as (port, server):
            session = view.want(f"rtsp://127.0.0.1:{port}/live", settings=ONE_SECOND)
            until(lambda: list(spool.segments()))
            server.kill()
            until(lambda: spool.closed(spool.take_directory(session, 1)))
        with sending(film, port=port):
            until(lambda: view.kinds(session).count("recording") == 2)
            take = view.takes[session]
            until(lambda: segments(spool, spool.take_directory(session, take)))
            view.desire(session, "stop")
            until(lambda: view.last(session, "ended"))
    closed = spool.closed(spool.take_directory(session, 1))["screen"]
    assert closed.ending == "interrupted"
    (gap,) = [gap for gap in spool.gaps(spool.take_directory(session, take)) if gap.track == "screen"]
    first = segments(spool, spool.take_directory(session, take))[0][1]
    assert (gap.from_us, gap.to_us, gap.reason) == (closed.end_us, first.start_us, closed.reason)


def test_a_server_that_asks_for_a_password_gets_it_and_nobody_else(tmp_path: Path, film: Path) -> None:
    with sending(film, "viewer", "Kerguelen-4711") as (port, _):
        url = f"rtsp://viewer@127.0.0.1:{port}/live"
        check_source(url, access=ACCESS)
        with pytest.raises(BadSource, match="refused the user name or the password") as refused:
            open_source(url, ONE_SECOND, access=Access("wrong-4711", ALLOWED))
        assert "-4711" not in str(refused.value)  # which names a port, too
        open_source(url, ONE_SECOND, access=Access("Kerguelen-4711", ALLOWED)).close()


def test_what_is_not_there_is_named(film: Path) -> None:
    with sending(film) as (port, _), pytest.raises(SourceAway, match="does not send /other"):
        open_source(f"rtsp://127.0.0.1:{port}/other", ONE_SECOND, access=ACCESS)
    with pytest.raises(BadSource, match="this machine itself"):
        open_source("rtsp://127.0.0.1/live", ONE_SECOND)


def test_an_address_keeps_path_and_query_and_holds_no_password() -> None:
    url = "rtsp://viewer@camera-3:8554/streams/1?channel=2&sub=0"
    assert parse(url).url == url
    with pytest.raises(BadSource, match="holds a password"):
        parse("rtsp://viewer:secret@camera-3/live")


REDIRECTING = """
import socket, sys
listener, other = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    while asked := connection.recv(4096):
        number = asked.split(b"CSeq:")[1].split()[0]
        to = f"rtsp://127.0.0.1:{sys.argv[1]}/live".encode()
        line = b"302 Moved\\r\\nLocation: " + to if asked.startswith(b"DESCRIBE") else b"200 OK"
        connection.sendall(b"RTSP/1.0 " + line + b"\\r\\nCSeq: " + number + b"\\r\\n\\r\\n")
"""


def test_a_server_that_sends_its_viewers_elsewhere_is_refused(film: Path) -> None:
    with sending(film) as (elsewhere, _):
        argv = [sys.executable, "-c", REDIRECTING, str(elsewhere)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with pytest.raises(BadSource, match="on to another server"):
                open_source(f"rtsp://127.0.0.1:{port}/live", ONE_SECOND, access=ACCESS)
        finally:
            process.kill()
            process.wait()
